"""Hostile and unusual packs, and other flatbuffers, laid out byte by byte: schema/pack.fbs without flatc."""
import struct
import zlib

from case import BIAS, CORRUPT, GOOD, INTEGRITY, LIMIT, TRUNCATED, UNKNOWN, UNSUPPORTED, WEIGHT, Case, Tensor, floats

DTYPES = ['float32', 'float16', 'bfloat16', 'float64', 'int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16',
          'uint8', 'bool']
# Of the places that lies are told about: the offset of the root, then the root's table and its vtable.
ROOT, VTABLE, TABLE = 4, 12, 32


def aligned(data, alignment, offset=0):
    return data + bytes(-(len(data) + offset) % alignment)


class Buffer:
    """Grows forwards: a table is written with empty references, which are filled in once what they name is there."""

    def __init__(self):
        self.data = b'\0' * 4 + b'\0' * 4 + b'WIMM'

    def table(self, fields, names):
        """Writes a vtable, then a table of (name, format, value); returns where its fields are."""
        inline, places = 4, {}
        for name, form, _ in fields:
            size = struct.calcsize('<' + form)
            inline = (inline + size - 1) // size * size
            places[name] = inline
            inline += size
        slots = [places.get(name, 0) for name in names]
        self.data = aligned(self.data, 2)
        vtable = len(self.data)
        self.data += struct.pack(f'<{2 + len(slots)}H', 4 + 2 * len(slots), inline, *slots)
        self.data = aligned(self.data, 8)
        table = len(self.data)
        self.data += struct.pack('<i', table - vtable) + bytes(inline - 4)
        for name, form, value in fields:
            self.put(table + places[name], form, value)
        return {name: table + place for name, place in places.items()}

    def put(self, at, form, value):
        packed = struct.pack('<' + form, value)
        self.data = self.data[:at] + packed + self.data[at + len(packed):]

    def refer(self, at):
        """The reference at `at` names what comes next."""
        self.put(at, 'I', len(self.data) - at)

    def vector(self, at, form, values):
        self.data = aligned(self.data, max(4, struct.calcsize('<' + form)), 4)
        self.refer(at)
        self.data += struct.pack(f'<I{len(values)}{form}', len(values), *values)
        return len(self.data) - len(values) * struct.calcsize('<' + form)

    def string(self, at, value):
        self.data = aligned(self.data, 4)
        self.refer(at)
        data = value if isinstance(value, bytes) else value.encode()
        self.data += struct.pack('<I', len(data)) + data + b'\0'


def entries_of(tensors):
    """The fields of each tensor, one behind the other, and their data."""
    entries, data = [], b''
    for name, tensor in tensors.items():
        data = aligned(data, 64)
        entries.append({'name': name, 'dtype': DTYPES.index(tensor.dtype), 'shape': tensor.shape, 'offset': len(data),
                        'length': len(tensor.data), 'crc32': zlib.crc32(tensor.data)})
        data += tensor.data
    return entries, data


def without(fields, omitted):
    return [field for field in fields if field[0] not in omitted]


def pack(tensors=GOOD, version=1, features=0, data_length=None, data=None, change=None, omit=(), order=1, repeat=1, count=None,
         patches={}, prefix=None, more=()):
    """A pack of `tensors`. `change` edits the list of their fields, `patches` maps places in the file to other bytes."""
    entries, content = entries_of(tensors)
    content = content if data is None else data
    if change:
        change(entries)
    buffer = Buffer()
    fields = [('version', 'I', version), ('required_features', 'Q', features), ('model', 'I', 0), ('cfg', 'I', 0),
              ('tensors', 'I', 0), ('data_length', 'Q', len(content) if data_length is None else data_length), *more]
    names = ['version', 'required_features', 'model', 'cfg', 'tensors', 'data_length', *(name for name, _, _ in more)]
    places = buffer.table(without(fields[::order], omit), names)
    buffer.put(ROOT, 'I', TABLE - ROOT)
    for name, value in (('model', 'resnet34.a1_in1k'), ('cfg', '{}')):
        if name in places:
            buffer.string(places[name], value)
    if 'tensors' in places:
        references = buffer.vector(places['tensors'], 'I', [0] * (len(entries) * repeat if count is None else count))
        for i, entry in enumerate(entries):
            fields = [('name', 'I', 0), ('dtype', 'B', entry['dtype']), ('shape', 'I', 0), ('offset', 'Q', entry['offset']),
                      ('length', 'Q', entry['length']), ('crc32', 'I', entry['crc32'])]
            places = buffer.table(without(fields, entry.get('omit', ())), ['name', 'dtype', 'shape', 'offset', 'length', 'crc32'])
            table = min(places.values()) - 4
            for k in range(repeat):
                at = references + 4 * (i * repeat + k)
                buffer.put(at, 'I', table - at)
            if 'name' in places:
                buffer.string(places['name'], entry['name'])
            if 'shape' in places:
                buffer.vector(places['shape'], 'q', entry['shape'])
    metadata = aligned(buffer.data, 8)
    metadata = struct.pack('<I', len(metadata) - 4 if prefix is None else prefix) + metadata[4:]
    for at, patch in patches.items():
        metadata = metadata[:at] + patch + metadata[at + len(patch):]
    return aligned(metadata, 64) + content


def changed(**fields):
    """The fields of the second tensor are others."""
    return pack(change=lambda entries: entries[1].update(fields))


def patched(at, form, value):
    return pack(patches={at: struct.pack('<' + form, value)})


def hostile():
    good = pack()
    yield 'F01', 'short_flatbuffer', b'\xff\xff\xff\x7fWIMM', [UNKNOWN]
    yield 'F01', 'root_past_the_end_of_12_bytes', struct.pack('<II', 8, 2**31) + b'WIMM', [CORRUPT]
    yield 'F01', 'four_bytes', b'\x10\0\0\0', [TRUNCATED]
    yield 'F02', 'other_flatbuffer', b'\x1c\0\0\0TFL3' + b'\0' * 40, [UNKNOWN]
    yield 'F02', 'other_identifier_in_a_pack', patched(8, '4s', b'TFL3'), [UNKNOWN]
    for name, value in {'2_32': 2**32 - 1, '0': 0, 'odd': TABLE - ROOT + 1, 'past_the_end': len(good)}.items():
        yield 'F03', f'root_offset_{name}', patched(ROOT, 'I', value), [CORRUPT]
    for name, value in {'before_the_buffer': 2**30, 'past_the_buffer': -2**30, 'smallest': -2**31}.items():
        yield 'F04', f'vtable_{name}', patched(TABLE, 'i', value), [CORRUPT]
    for name, value in {'65535': 65535, '65534': 65534, 'odd': 17, '0': 0}.items():
        yield 'F04', f'vtable_size_{name}', patched(VTABLE, 'H', value), [CORRUPT]
    yield 'F04', 'field_past_the_end', patched(VTABLE + 8, 'H', 65535), [CORRUPT]
    yield 'F05', 'zeros', b'\0' * 4096, [CORRUPT]
    yield 'F05', 'zeros_behind_the_head', good[:12] + b'\0' * 4096, [CORRUPT]
    yield 'F05', 'ones', b'\xff' * 4096, [UNKNOWN]
    for name, offset in {'overlapping': 0, 'misaligned': 112, 'hole': 192, 'outside': 2**40, 'in_the_metadata': 2**64 - 64,
                         'largest': 2**64 - 1}.items():
        yield 'F09', f'offset_{name}', changed(offset=offset), [CORRUPT]
    for name, length in {'0': 0, 'long': 64, 'largest': 2**64 - 1}.items():
        yield 'F09', f'length_{name}', changed(length=length), [CORRUPT]
    yield 'F09', 'metadata_short', pack(prefix=100), [CORRUPT]
    yield 'F09', 'metadata_past_the_end', pack(prefix=2**20), [TRUNCATED]
    yield 'F09', 'data_length_short', pack(data_length=64), [CORRUPT]
    yield 'F09', 'data_length_wraps', pack(data_length=2**64 - 1), [CORRUPT]
    yield 'F09', 'data_cut', good[:-1], [TRUNCATED]
    yield 'F09', 'bytes_behind_the_data', good + b'\0', [CORRUPT]
    for version in (0, 2, 2**32 - 1):
        yield 'F10', f'version_{version}', pack(version=version), [UNSUPPORTED]
    for bit in (1, 63):
        yield 'F10', f'required_feature_{bit}', pack(features=1 << bit), [UNSUPPORTED]
    yield 'F10', 'unknown_dtype', changed(dtype=13), [UNSUPPORTED]
    yield 'F11', 'one_table_40000_times', pack(repeat=40_000), [LIMIT]
    yield 'F11', 'one_table_200000_times', pack(repeat=100_000), [CORRUPT, LIMIT]
    for name, length in {'2_31': 2**31 - 1, '2_32': 2**32 - 1, '100_mb': 100_000_001}.items():
        yield 'F12', f'metadata_of_{name}', pack(prefix=length), [LIMIT]
    yield 'F14', 'wrong_checksum', changed(crc32=1), [INTEGRITY]
    yield 'F14', 'changed_data', good[:-1] + b'\xff', [INTEGRITY]
    for name in ('model', 'cfg', 'tensors'):
        yield 'F15', f'no_{name}', pack(omit=[name]), [CORRUPT]
    for name in ('name', 'shape'):
        yield 'F15', f'tensor_without_{name}', changed(omit=[name]), [CORRUPT]
    yield 'F15', 'empty_name', changed(name=''), [CORRUPT]
    yield 'F15', 'name_twice', changed(name='fc.weight'), [CORRUPT]
    yield 'F15', 'name_not_utf8', changed(name=b'fc.\xff'), [CORRUPT]
    yield 'F15', 'vector_of_2_30', patched(len_of_vector(good), 'I', 2**30), [CORRUPT]
    yield 'F15', 'null_references', pack(count=2, change=list.clear), [CORRUPT]
    yield 'F15', 'negative_dimension', changed(shape=[-5]), [CORRUPT]
    yield 'F15', 'product_wraps_64_bits', changed(shape=[2**62 + 1, 4]), [LIMIT]
    yield 'F15', 'rank_65', changed(shape=[1] * 64 + [5]), [LIMIT]


def len_of_vector(good):
    """Where the count of the tensors is: its reference is the fifth field of the root."""
    field = TABLE + struct.unpack_from('<H', good, VTABLE + 4 + 2 * 4)[0]
    return field + struct.unpack_from('<I', good, field)[0]


def unusual():
    yield 'F13', 'control', pack(), GOOD
    yield 'F13', 'fields_in_another_order', pack(order=-1), GOOD
    yield 'F10', 'unknown_optional_field', pack(more=[('later', 'I', 7)]), GOOD
    every = {dtype: Tensor(dtype, [3], bytes(3 * (8 if '64' in dtype else 4 if '32' in dtype else 2 if '16' in dtype else 1)))
             for dtype in DTYPES}
    yield 'F13', 'every_dtype', pack(every), every
    odd = {'scalar': Tensor('float32', [], floats(3.5)), 'empty': Tensor('int64', [0, 3], b''), '重み': BIAS, 'last': WEIGHT}
    yield 'F13', 'scalar_and_empty', pack(odd), odd
    yield 'F13', 'no_tensors', pack({}), {}


def cases():
    for row, name, data, codes in hostile():
        yield Case(row, name, data, codes=codes)
    for row, name, data, tensors in unusual():
        yield Case(row, name, data, tensors=tensors)
