"""Writes mutants of small valid files: each changed in a few places, of its bytes or of its structure.

    python3 mutants.py FOLDER

They are the same wherever they are made; mutants.json says what other readers make of each (compare_readers.py).
"""
import json
import random
import sys
from pathlib import Path

import safetensors_cases
import zip_cases
from torch_files import checkpoint, integer, legacy, pickle, state_dict, storage, tensor, text

COUNT = 500  # of each kind
INTERESTING = [0, 1, 3, 4, 5, 19, 20, 21, 80, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53,
               2**62, 2**63 - 1, 2**63, 2**64 - 1]


def change_bytes(data, rng):
    """One edit of a file's bytes."""
    data = bytearray(data)
    at = rng.randrange(len(data))
    kind = rng.randrange(6)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif kind == 2:
        width = rng.choice((2, 4, 8))
        data[at:at + width] = (rng.choice(INTERESTING) % 256**width).to_bytes(width, 'little')
    elif kind == 3:
        del data[at:at + rng.randrange(1, 9)]
    elif kind == 4:
        data[at:at] = data[at:at + rng.randrange(1, 17)]
    else:
        del data[at:]
    return bytes(data)


def several(change, data, rng):
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = change(data, rng) if data else data
    return data


def change_value(value, rng):
    """One edit of a JSON value, anywhere in it."""
    if isinstance(value, dict) and value and rng.randrange(8):
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        changed = dict(value)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[rng.choice(('fc.weight', 'x', '__metadata__', 'dtype', 'é'))] = changed.pop(key)
        else:
            changed[key] = change_value(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.randrange(8):
        at = rng.randrange(len(value))
        kind = rng.randrange(6)
        if kind == 0:
            return value[:at] + value[at + 1:]
        if kind == 1:
            return value[:at] + [value[at]] + value[at:]
        return value[:at] + [change_value(value[at], rng)] + value[at + 1:]
    return rng.choice((None, True, 'F32', 'I32', 'F16', 'BOOL', '', [], {}, -1, 0.5, *INTERESTING[:14]))


def safetensors(rng):
    head = several(change_value, safetensors_cases.header(), rng)
    return safetensors_cases.encode(head)


def pickle_body(rng):
    """A state dict, some of whose numbers and names are others."""
    number = lambda usual: rng.choice(INTERESTING + [-1]) if rng.randrange(6) == 0 else usual
    name = lambda usual: rng.choice(('fc.weight', 'x', '', 'é', 'state_dict')) if rng.randrange(8) == 0 else usual
    numel = lambda usual: integer(number(usual))
    kind = lambda: rng.choice(('DoubleStorage', 'HalfStorage', 'BoolStorage', 'ByteStorage')) if rng.randrange(8) == 0 else 'FloatStorage'
    weight = tensor(storage('0', numel(20), kind()), number(0), [number(5), number(4)], [number(4), number(1)])
    bias = tensor(storage(rng.choice(('0', '1', '1', '1', '2')), numel(5), kind()), number(0), [number(5)], [number(1)])
    return b'}(' + text(name('fc.weight')) + weight + text(name('fc.bias')) + bias + b'u'


def mutants():
    """Yields (name, bytes): the name begins with the format."""
    rng = random.Random(2)
    good_zip = zip_cases.zip_file([entry.having(crc=0) for entry in zip_cases.entries().values()])
    good_pickle = pickle(state_dict())
    kinds = {
        'safetensors_bytes': lambda: several(change_bytes, safetensors_cases.encode(safetensors_cases.header()), rng),
        'safetensors_header': lambda: safetensors(rng),
        'zip_bytes': lambda: several(change_bytes, good_zip, rng),
        'zip_values': lambda: checkpoint(pickle_body(rng)),
        'zip_opcodes': lambda: with_pickle(several(change_bytes, good_pickle, rng)),
        'legacy_bytes': lambda: several(change_bytes, legacy(), rng),
    }
    for kind, make in kinds.items():
        for i in range(COUNT):
            yield f'{kind}_{i}', make()


def with_pickle(content):
    entries = zip_cases.entries()
    entries[zip_cases.PICKLE] = zip_cases.Entry(zip_cases.PICKLE, content)
    return zip_cases.zip_file(entries.values())


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in mutants():
        (folder / name).write_bytes(data)
    (folder / 'mutants.json').write_text(json.dumps([name for name, _ in mutants()]))


if __name__ == '__main__':
    main(sys.argv[1])
