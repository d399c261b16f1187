"""One file of the corpus, and what its reader must see."""
import struct
from dataclasses import dataclass

UNKNOWN = 'ERR_FORMAT_UNKNOWN'
TRUNCATED = 'ERR_FORMAT_TRUNCATED'
CORRUPT = 'ERR_FORMAT_CORRUPT'
UNSUPPORTED = 'ERR_FORMAT_UNSUPPORTED'
FORBIDDEN = 'ERR_PICKLE_FORBIDDEN'
LIMIT = 'ERR_LIMIT_EXCEEDED'
INTEGRITY = 'ERR_INTEGRITY'
MISMATCH = 'ERR_STATE_DICT_MISMATCH'


@dataclass
class Tensor:
    dtype: str  # as PyTorch names it
    shape: list
    data: bytes  # row-major, little-endian


@dataclass
class Case:
    row: str  # of the catalogue of faults: a letter for the format, then a number
    name: str
    data: bytes
    codes: list = None  # errors, one of which must be seen when the file is opened or its tensors are read
    tensors: dict = None  # or what it holds


def floats(*values):
    return struct.pack(f'<{len(values)}f', *values)


# The two tensors of most files here.
WEIGHT = Tensor('float32', [5, 4], floats(*range(20)))
BIAS = Tensor('float32', [5], floats(0.5, 1.5, 2.5, 3.5, 4.5))
GOOD = {'fc.weight': WEIGHT, 'fc.bias': BIAS}
