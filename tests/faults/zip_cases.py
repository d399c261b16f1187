"""Hostile and unusual zip archives around a good pickle."""
import random
import struct
import zlib

from case import BIAS, CORRUPT, FORBIDDEN, GOOD, INTEGRITY, LIMIT, TRUNCATED, UNKNOWN, UNSUPPORTED, WEIGHT, Case, Tensor
from torch_files import (Entry, call, checkpoint, checkpoint_entries, dict_of, end_record, global_of, pickle, state_dict,
                         storage, tensor, text, zip_file)

PICKLE, BYTEORDER, DATA0, DATA1 = 'archive/data.pkl', 'archive/byteorder', 'archive/data/0', 'archive/data/1'


def entries():
    return {entry.name.decode(): entry for entry in checkpoint_entries()}


def changed(name, **claims):
    """A good archive but for what one entry claims."""
    archive = entries()
    archive[name].having(**claims)
    return zip_file(archive.values())


def replaced(name, entry):
    return zip_file([entry if old.name.decode() == name else old for old in entries().values()])


def with_extra(*more):
    return zip_file([*entries().values(), *more])


def without(*names):
    return zip_file([entry for name, entry in entries().items() if name not in names])


def zip64_extra(*values):
    return struct.pack(f'<HH{len(values)}Q', 1, 8 * len(values), *values)


def deflated_as(size, data):
    """Storage 0, deflated from `data`, claiming `size` bytes."""
    entry = Entry(DATA0, data, deflate=True)
    return entry.having(size=size, crc=0)


HOSTILE_PICKLE = pickle(call(global_of('os', 'system'), text('true')))


def hostile():
    good = checkpoint()
    yield 'Z01', 'no_end_record', good[:-22], [TRUNCATED]
    yield 'Z01', 'half', good[:len(good) // 2], [TRUNCATED]
    yield 'Z02', 'directory_past_the_end', zip_file(entries().values(), offset=1 << 30), [CORRUPT]
    yield 'Z02', 'directory_wraps', zip_file(entries().values(), offset=2**32 - 16), [CORRUPT]
    yield 'Z03', 'entries_65535', zip_file(entries().values(), count=65535), [CORRUPT]
    yield 'Z03', 'entries_1', zip_file(entries().values(), count=1), [CORRUPT]
    yield 'Z03', 'several_disks', zip_file(entries().values(), disk=1), [UNSUPPORTED]
    yield 'Z04', 'local_header_past_the_end', changed(DATA0, offset=1 << 30), [CORRUPT]
    yield 'Z04', 'local_header_elsewhere', changed(DATA0, offset=3), [CORRUPT]
    yield 'Z05', 'stored_entry_of_1_mib', changed(DATA0, size=1 << 20, compressed=1 << 20), [CORRUPT]
    yield 'Z06', 'shared_local_header', zip_file([*entries().values(), Entry(DATA0 + '0', WEIGHT.data).having(offset=0)]), [CORRUPT]
    inner = Entry(DATA1, BIAS.data)
    outer = Entry(DATA0, inner.local() + inner.data)
    begin = len(Entry(PICKLE, pickle(state_dict())).local()) + len(pickle(state_dict())) + len(outer.local())
    body = Entry(PICKLE, pickle(state_dict()))
    data = body.local() + body.data + outer.local() + outer.data
    directory = body.central(0) + outer.central(begin - len(outer.local())) + inner.central(begin)
    yield 'Z06', 'entry_inside_another', data + directory + end_record(3, len(directory), len(data)), [CORRUPT]
    yield 'Z07', 'bomb', replaced(DATA0, Entry(DATA0, b'\0' * (64 << 20), deflate=True)), [CORRUPT]
    yield 'Z08', 'inflates_to_more', replaced(DATA0, deflated_as(80, b'\0' * ((1 << 20) + 80))), [CORRUPT]
    yield 'Z08', 'inflates_to_one_more', replaced(DATA0, deflated_as(80, WEIGHT.data + b'\0')), [CORRUPT]
    yield 'Z08', 'inflates_to_less', replaced(DATA0, deflated_as(80, WEIGHT.data[:40])), [CORRUPT]
    garbage = Entry(DATA0, WEIGHT.data).having(method=8, data=random.Random(7).randbytes(64), compressed=64, crc=0)
    yield 'Z08', 'garbage', replaced(DATA0, garbage), [CORRUPT]
    cut = deflated_as(80, WEIGHT.data)
    cut.having(data=cut.data[:-4], compressed=len(cut.data) - 4)
    yield 'Z08', 'cut_deflate_data', replaced(DATA0, cut), [CORRUPT]
    slack = deflated_as(80, WEIGHT.data)
    slack.having(data=slack.data + b'PK', compressed=len(slack.data) + 2)
    yield 'Z08', 'bytes_behind_deflate_data', replaced(DATA0, slack), [CORRUPT]
    yield 'Z08', 'impossible_ratio', replaced(DATA0, deflated_as(1 << 30, WEIGHT.data)), [CORRUPT]
    yield 'Z09', 'bzip2', changed(DATA0, method=12), [UNSUPPORTED]
    yield 'Z09', 'aes', changed(DATA0, method=99), [UNSUPPORTED]
    yield 'Z10', 'encrypted', changed(PICKLE, flags=0x801), [UNSUPPORTED]
    yield 'Z11', 'wrong_checksum', changed(DATA1, crc=0x12345678), [INTEGRITY]
    yield 'Z11', 'wrong_checksum_of_the_pickle', changed(PICKLE, crc=0x12345678), [INTEGRITY]
    huge = {'size': 0xFFFFFFFF, 'compressed': 0xFFFFFFFF}
    yield 'Z12', 'zip64_of_2_62', changed(DATA0, **huge, extra=zip64_extra(2**62, 2**62)), [CORRUPT, LIMIT]
    yield 'Z12', 'zip64_too_short', changed(DATA0, **huge, extra=zip64_extra(80)), [CORRUPT]
    yield 'Z12', 'zip64_missing', changed(DATA0, **huge), [CORRUPT, LIMIT]
    yield 'Z12', 'extra_too_long', changed(DATA0, extra=struct.pack('<HH', 9, 40) + b'\0' * 4), [CORRUPT]
    for name, lie in {'disk': {'disk': 1}, 'disks': {'disks': 2}, 'counts': {'count_here': 6}}.items():
        yield 'Z03', f'zip64_{name}', zip64_file(entries().values(), **lie), [UNSUPPORTED]
    for name, lie in {'signature': {'signature': b'PK\6\0'}, 'length': {'size': 45}, 'directory_bytes': {'length': 1},
                      'directory_past_the_end': {'offset': 1 << 40}}.items():
        yield 'Z12', f'zip64_{name}', zip64_file(entries().values(), **lie), [CORRUPT]
    yield 'Z05', 'stored_entry_of_two_sizes', changed(DATA0, size=81), [CORRUPT]
    yield 'Z08', 'inflates_to_empty_and_more', replaced(DATA0, deflated_as(0, b'').having(data=b'PK', compressed=2)), [CORRUPT]
    yield 'Z13', 'no_pickle', without(PICKLE), [CORRUPT]
    yield 'Z13', 'empty_archive', end_record(0, 0, 0), [CORRUPT]
    yield 'Z14', 'storage_missing', without(DATA1), [CORRUPT]
    yield 'Z15', 'record_short', replaced(DATA1, Entry(DATA1, BIAS.data[:-4])), [CORRUPT]
    yield 'Z15', 'record_long', replaced(DATA1, Entry(DATA1, BIAS.data + b'\0' * 4)), [CORRUPT]
    yield 'Z16', 'two_pickles', zip_file([Entry(PICKLE, HOSTILE_PICKLE), *entries().values()]), [CORRUPT]
    yield 'Z16', 'names_differ', changed(DATA0, local_name=b'archive/data/9'), [CORRUPT]
    yield 'Z16', 'two_roots', with_extra(Entry('other/data.pkl', HOSTILE_PICKLE)), [CORRUPT]
    yield 'Z17', 'nul_in_name', replaced(PICKLE, Entry(PICKLE.encode() + b'\0.txt', pickle(state_dict()))), [CORRUPT]
    elsewhere = zip_file([Entry(PICKLE, HOSTILE_PICKLE)])
    yield 'Z18', 'second_end_record', zip_file(entries().values(), comment=elsewhere), [CORRUPT]
    npz = zip_file([Entry('fc.weight.npy', b'\x93NUMPY\1\0' + b'\0' * 120)])
    yield 'Z19', 'npz', npz, [UNSUPPORTED]
    yield 'Z20', 'torchscript', with_extra(Entry('archive/constants.pkl', pickle(b')')), Entry('archive/code/a.py', b'')), [UNSUPPORTED]
    yield 'Z21', 'big_endian', replaced(BYTEORDER, Entry(BYTEORDER, b'big')), [UNSUPPORTED]
    yield 'Z21', 'middle_endian', replaced(BYTEORDER, Entry(BYTEORDER, b'middle')), [CORRUPT]
    yield 'Z22', 'entries_65600', many_entries(65_600), [LIMIT]
    large = zip64_extra(1 << 40, 1 << 40, 0)
    yield 'Z22', 'total_over_the_limit', changed(DATA0, **huge, extra=large), [CORRUPT, LIMIT]
    for name, size in {'bomb_behind_a_small_size': 1 << 24, 'one_byte_behind_many_chunks': 1_000_001}.items():
        yield 'Z23', name, large_storage(1_000_000, b'\0' * size), [CORRUPT]
    yield 'P12', 'hostile_pickle_behind_the_first', replaced(PICKLE, Entry(PICKLE, pickle(state_dict()) + HOSTILE_PICKLE)), [CORRUPT]
    yield 'Z16', 'hostile_pickle', replaced(PICKLE, Entry(PICKLE, HOSTILE_PICKLE)), [FORBIDDEN]
    yield 'N05', 'gzip', zlib.compress(good, wbits=31), [UNKNOWN]


def large_storage(size, data):
    """A checkpoint of one storage of `size` bytes, whose deflate data holds `data`."""
    body = dict_of({'x': tensor(storage('0', size // 4), 0, [size // 4], [1])})
    archive = checkpoint_entries(body, {'0': b''})
    return zip_file([deflated_as(size, data) if entry.name.decode() == DATA0 else entry for entry in archive])


def zip64_file(members, **claims):
    """An archive whose end is told in 64 bits."""
    members = list(members)
    archive = zip_file(members, count=0)
    end = len(archive) - 22
    length, offset = struct.unpack('<2I', archive[end + 12:end + 20])
    claimed = {'signature': b'PK\6\6', 'size': 44, 'disks': 0, 'count_here': len(members), 'count': len(members),
               'length': length, 'offset': offset, 'disk': 0, **claims}
    record = struct.pack('<4sQ2H2I4Q', claimed['signature'], claimed['size'], 45, 45, claimed['disks'], 0,
                         claimed['count_here'], claimed['count'], claimed['length'], claimed['offset'])
    locator = struct.pack('<4sIQI', b'PK\6\7', claimed['disk'], end, 1)
    return archive[:end] + record + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def many_entries(count):
    return zip64_file([Entry(f'archive/data/{i}', b'') for i in range(count)])


def described(entry):
    """As streaming writers do: the sizes behind the data, and zeros in the local header."""
    return entry.having(flags=entry.flags | 8, local_sizes=(0, 0, 0),
                        descriptor=struct.pack('<4s3I', b'PK\7\x08', entry.crc, entry.compressed, entry.size))


def zip64_local(entry):
    return entry.having(local_sizes=(entry.crc, 0xFFFFFFFF, 0xFFFFFFFF), local_extra=zip64_extra(entry.size, entry.compressed))


def unusual():
    yield 'Z00', 'control', checkpoint()
    yield 'V19', 'root_with_spaces', checkpoint(root='mein Modell – 重み')
    yield 'V20', 'deflated', checkpoint(deflate=True)
    yield 'V20', 'reversed_with_comment', zip_file(list(entries().values())[::-1], comment=b'zipped again')
    yield 'V20', 'data_descriptors', zip_file([described(entry) for entry in entries().values()])
    yield 'V20', 'zip64_local_headers', zip_file([zip64_local(entry) for entry in entries().values()])
    yield 'V20', 'zip64_end_record', zip64_file(entries().values())
    yield 'V21', 'checksums_not_computed', zip_file([entry.having(crc=0) for entry in entries().values()])
    yield 'Z17', 'path_upwards', with_extra(Entry('../../etc/passwd', b'x'))
    yield 'Z21', 'without_byteorder', without(BYTEORDER)


def views():
    """A storage of which two tensors take parts."""
    return dict_of({'a': tensor(storage('0', 20), 1, [2], [1]), 'b': tensor(storage('0', 20), 17, [3], [1])})


def cases():
    parts = {'a': Tensor('float32', [2], WEIGHT.data[4:12]), 'b': Tensor('float32', [3], WEIGHT.data[68:])}
    yield Case('V20', 'parts_of_a_deflated_storage', checkpoint(views(), {'0': WEIGHT.data}, deflate=True), tensors=parts)
    yield Case('V20', 'parts_of_a_stored_storage', checkpoint(views(), {'0': WEIGHT.data}), tensors=parts)
    for row, name, data, codes in hostile():
        yield Case(row, name, data, codes=codes)
    for row, name, data in unusual():
        yield Case(row, name, data, tensors=GOOD)
    zeros = bytes(1_000_000)
    yield Case('V20', 'deflated_in_many_chunks', large_storage(len(zeros), zeros),
               tensors={'x': Tensor('float32', [len(zeros) // 4], zeros)})
