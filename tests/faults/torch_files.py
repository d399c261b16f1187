"""Assembling pickles, zip archives and torch.save's two formats byte by byte, with room for lies."""
import struct
import zlib

from case import BIAS, WEIGHT

# Pickle: each function gives the opcodes that push one value.

NONE, TRUE, FALSE, EMPTY_TUPLE = b'N', b'\x88', b'\x89', b')'


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def integer(value):
    if -2**31 <= value < 2**31:
        return b'J' + struct.pack('<i', value)
    data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8a' + bytes([len(data)]) + data


def real(value):
    return b'G' + struct.pack('>d', value)


def tuple_of(*items):
    return b'(' + b''.join(items) + b't'


def list_of(*items):
    return b'](' + b''.join(items) + b'e'


def dict_of(items):
    """Keys are strings or opcodes."""
    pairs = (key if isinstance(key, bytes) else text(key) for key in items)
    return b'}(' + b''.join(key + value for key, value in zip(pairs, items.values())) + b'u'


def global_of(module, name):
    return b'c' + module.encode() + b'\n' + name.encode() + b'\n'


def stack_global(module, name):
    return text(module) + text(name) + b'\x93'


def call(function, *arguments):
    return function + tuple_of(*arguments) + b'R'


def ordered_dict():
    return global_of('collections', 'OrderedDict') + EMPTY_TUPLE + b'R'


def storage(key, numel, kind='FloatStorage', tail=()):
    return tuple_of(text('storage'), global_of('torch', kind), text(key), text('cpu'),
                    integer(numel) if isinstance(numel, int) else numel, *tail) + b'Q'


def sizes(values):
    return tuple_of(*(value if isinstance(value, bytes) else integer(value) for value in values))


def tensor(source, offset, size, stride):
    return call(global_of('torch._utils', '_rebuild_tensor_v2'), source, integer(offset), sizes(size), sizes(stride), FALSE,
                ordered_dict())


def parameter(data):
    return call(global_of('torch._utils', '_rebuild_parameter'), data, TRUE, ordered_dict())


def pickle(body, protocol=2):
    return b'\x80' + bytes([protocol]) + body + b'.'


def weight(tail=()):
    return tensor(storage('0', 20, tail=tail), 0, [5, 4], [4, 1])


def bias(tail=()):
    return tensor(storage('1', 5, tail=tail), 0, [5], [1])


STORAGES = {'0': WEIGHT.data, '1': BIAS.data}


def state_dict(tail=(), **changes):
    """The good state dict; `changes` replaces or adds values."""
    return dict_of({'fc.weight': weight(tail), 'fc.bias': bias(tail), **{k.replace('_', '.'): v for k, v in changes.items()}})


# Zip.

class Entry:
    """A member of an archive. What the headers claim follows from the data unless it is set afterwards."""

    def __init__(self, name, data, deflate=False):
        self.name = self.local_name = name if isinstance(name, bytes) else name.encode()
        self.data = data
        if deflate:
            compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
            self.data = compressor.compress(data) + compressor.flush()
        self.method = 8 if deflate else 0
        self.flags = 0x800
        self.crc, self.compressed, self.size = zlib.crc32(data), len(self.data), len(data)
        self.local_sizes = None  # (crc, compressed, size) of the local header, where they differ
        self.extra = self.local_extra = b''
        self.offset = None  # of the local header, where the directory lies about it
        self.descriptor = b''

    def having(self, **claims):
        for name, value in claims.items():
            if not hasattr(self, name):
                raise AttributeError(name)
            setattr(self, name, value)
        return self

    def local(self):
        crc, compressed, size = self.local_sizes or (self.crc, self.compressed, self.size)
        return struct.pack('<4s5H3I2H', b'PK\3\4', 20, self.flags, self.method, 0, 0, crc, compressed, size,
                           len(self.local_name), len(self.local_extra)) + self.local_name + self.local_extra

    def central(self, offset):
        return struct.pack('<4s6H3I5H2I', b'PK\1\2', 20, 20, self.flags, self.method, 0, 0, self.crc, self.compressed,
                           self.size, len(self.name), len(self.extra), 0, 0, 0, 0,
                           offset if self.offset is None else self.offset) + self.name + self.extra


def end_record(count, length, offset, comment=b'', disk=0, comment_length=None):
    return struct.pack('<4s4H2IH', b'PK\5\6', disk, disk, count, count, length, offset,
                       len(comment) if comment_length is None else comment_length) + comment


def zip_file(entries, comment=b'', **claims):
    body, directory = bytearray(), bytearray()
    for entry in entries:
        directory += entry.central(len(body))
        body += entry.local() + entry.data + entry.descriptor
    claimed = {'count': len(entries), 'length': len(directory), 'offset': len(body), **claims}
    return bytes(body + directory) + end_record(comment=comment, **claimed)


# torch.save.

def checkpoint_entries(body=None, storages=STORAGES, root='archive', protocol=2, deflate=False):
    content = pickle(state_dict() if body is None else body, protocol)
    return [Entry(f'{root}/data.pkl', content, deflate), Entry(f'{root}/byteorder', b'little', deflate),
            *(Entry(f'{root}/data/{key}', data, deflate) for key, data in storages.items()),
            Entry(f'{root}/version', b'3\n', deflate)]


def checkpoint(body=None, storages=STORAGES, **options):
    return zip_file(checkpoint_entries(body, storages, **options))


MAGIC = 0x1950a86a20f9469cfc6c


def system(little_endian=TRUE):
    return dict_of({'protocol_version': integer(1001), 'little_endian': little_endian,
                    'type_sizes': dict_of({'short': integer(2), 'int': integer(4), 'long': integer(4)})})


def legacy(body=None, storages=STORAGES, magic=integer(MAGIC), version=integer(1001), system=system(), keys=None, counts={},
           protocol=2):
    if keys is None:
        keys = list_of(*(text(key) for key in storages))
    head = b''.join(pickle(part, protocol) for part in
                    (magic, version, system, state_dict(tail=(NONE,)) if body is None else body, keys))
    return head + b''.join(struct.pack('<q', counts.get(key, len(data) // 4)) + data for key, data in storages.items())
