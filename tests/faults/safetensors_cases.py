"""Hostile and unusual safetensors."""
import json
import struct

from case import BIAS, CORRUPT, GOOD, LIMIT, TRUNCATED, UNSUPPORTED, WEIGHT, Case, Tensor, floats

DATA = BIAS.data + WEIGHT.data


def entry(dtype, shape, begin, end):
    return {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, end]}


def header(**changes):
    """The header of a good file, as a dictionary, with tensors replaced."""
    return {'fc.bias': entry('F32', [5], 0, 20), 'fc.weight': entry('F32', [5, 4], 20, 100), **changes}


def encode(head, data=DATA, length=None):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack('<Q', len(text) if length is None else length) + text + data


def text(head):
    return json.dumps(head).encode()


def hostile():
    good = text(header())
    yield 'S01', 'empty', b'', [TRUNCATED]
    yield 'S01', 'seven_bytes', b'\x10\0\0\0\0\0\0', [TRUNCATED]
    yield 'S02', 'header_of_length_0', encode(b''), [CORRUPT]
    yield 'S03', 'header_past_the_end', encode(good, b'', len(good) + 1), [TRUNCATED]
    yield 'S04', 'header_over_the_cap', encode(good, length=100_000_001), [LIMIT]
    yield 'S05', 'header_length_2_63', encode(good, length=2**63), [LIMIT]
    yield 'S05', 'header_length_wraps_64_bits', encode(good, length=2**64 - 8), [LIMIT]
    yield 'S05', 'header_length_wraps_32_bits', encode(good, length=2**32 + len(good)), [LIMIT]
    yield 'S06', 'not_json', encode(b'{"fc.bias": }'), [CORRUPT]
    yield 'S06', 'array', encode(b'[1, 2]'), [CORRUPT]
    yield 'S06', 'two_values', encode(good + b' {}'), [CORRUPT]
    yield 'S06', 'bytes_behind_a_nul', encode(good + b'\0{}'), [CORRUPT]
    yield 'S06', 'cut_json', encode(good[:-1]), [CORRUPT]
    yield 'S06', 'tensor_is_a_number', encode({'fc.bias': 1}), [CORRUPT]
    yield 'S06', 'tensor_is_a_string', encode({'fc.bias': 'x'}), [CORRUPT]
    yield 'S06', 'tensor_is_an_array', encode({'fc.bias': []}), [CORRUPT]
    yield 'S06', 'tensor_is_true', encode({'fc.bias': True}), [CORRUPT]
    yield 'S06', 'unknown_field', encode(header(x={**entry('F32', [0], 0, 0), 'extra': 1})), [CORRUPT]
    yield 'S06', 'nested_field', encode(header(x={'dtype': {'a': 1}})), [CORRUPT]
    yield 'S06', 'repeated_field', encode(good.replace(b'"dtype"', b'"dtype": "F32", "dtype"', 1)), [CORRUPT]
    yield 'S07', 'not_utf8', encode(good.replace(b'fc.bias', b'fc.\xff\xfe')), [CORRUPT]
    yield 'S07', 'lone_surrogate', encode(good.replace(b'fc.bias', b'\\ud800')), [CORRUPT]
    yield 'S08', 'leading_space', encode(b' ' + good), [CORRUPT]
    yield 'S08', 'byte_order_mark', encode(b'\xef\xbb\xbf' + good), [CORRUPT]
    yield 'S09', 'nested_objects', encode(b'{"a":' * 100_000), [CORRUPT]
    yield 'S09', 'nested_arrays', encode(b'{"a":{"shape":' + b'[' * 100_000), [CORRUPT]
    yield 'S10', 'overlap', encode(header(**{'fc.bias': entry('F32', [5], 20, 40)}), DATA), [CORRUPT]
    yield 'S11', 'hole', encode(header(**{'fc.weight': entry('F32', [5, 4], 28, 108)}), DATA + b'\0' * 8), [CORRUPT]
    yield 'S12', 'polyglot', encode(header(), DATA + b'PK\x05\x06' + b'\0' * 18), [CORRUPT]
    yield 'S13', 'one_byte_short', encode(header(), DATA[:-1]), [TRUNCATED]
    for name, offsets in {
        'reversed': [20, 0], 'wraps': [2**64 - 4, 16], 'above_2_53': [2**53 + 1, 2**53 + 21], 'negative': [-20, 0]
    }.items():
        changed = {'dtype': 'F32', 'shape': [5], 'data_offsets': offsets}
        yield 'S14', f'offsets_{name}', encode(header(**{'fc.bias': changed})), [CORRUPT]
    for name, offsets in {'three': [0, 20, 20], 'one': [20], 'fractional': [0, 20.5], 'strings': ['0', '20']}.items():
        changed = {'dtype': 'F32', 'shape': [5], 'data_offsets': offsets}
        yield 'S15', f'offsets_{name}', encode(header(**{'fc.bias': changed})), [CORRUPT]
    shapes = {
        'S16': {'product_wraps_64_bits': [2**62 + 1, 4], 'zero_hides_overflow': [2**62, 2**62, 0]},
        'S17': {'product_wraps_32_bits': [4, 268435457]},
        'S18': {'negative': [-5], 'two_negatives': [-5, -1], 'fractional': [5.0], 'exponent': [5e0], 'null': None},
        'S19': {'too_many_bytes': [6], 'too_few_bytes': [4]},
    }
    for row, cases in shapes.items():
        for name, shape in cases.items():
            yield row, f'shape_{name}', encode(header(**{'fc.bias': entry('F32', shape, 0, 20)})), [CORRUPT, LIMIT]
    yield 'S19', 'dtype_disagrees', encode(header(**{'fc.bias': entry('F64', [5], 0, 20)})), [CORRUPT]
    yield 'S20', 'unknown_dtype', encode(header(**{'fc.bias': entry('F8_E4M3', [20], 0, 20)})), [UNSUPPORTED]
    yield 'S20', 'dtype_is_a_number', encode(header(**{'fc.bias': entry(7, [5], 0, 20)})), [CORRUPT]
    yield 'S20', 'no_dtype', encode(header(**{'fc.bias': {'shape': [5], 'data_offsets': [0, 20]}})), [CORRUPT]
    yield 'S21', 'name_twice', encode(good[:-1] + b',' + text({'fc.bias': entry('F32', [5], 100, 120)})[1:],
                                      DATA + BIAS.data), [CORRUPT]
    yield 'S22', 'metadata_number', encode(header(__metadata__={'a': 1})), [CORRUPT]
    yield 'S22', 'metadata_object', encode(header(__metadata__={'a': {}})), [CORRUPT]
    yield 'S22', 'metadata_text', encode(header(__metadata__='a')), [CORRUPT]
    yield 'S23', 'rank_10000', encode({'x': entry('F32', [1] * 10_000, 0, 4)}, DATA[:4]), [LIMIT]
    yield 'S26', 'name_of_1_mib', encode({'x' * 2**20: entry('F32', [1], 0, 4)}, DATA[:4]), [LIMIT]
    yield 'S26', 'name_of_prefixes', encode({'module.' * 2**17: entry('F32', [1], 0, 4)}, DATA[:4]), [LIMIT]
    yield 'S27', 'sharded_index', text({'metadata': {}, 'weight_map': {'fc.bias': 'model-00001.safetensors'}}), [UNSUPPORTED]


def unusual():
    yield 'S00', 'control', encode(header()), GOOD
    prototypes = ('__proto__', 'constructor', 'toString')
    heads = {name: entry('F32', [1], 4 * i, 4 * i + 4) for i, name in enumerate(prototypes)}
    yield 'S24', 'prototype_names', encode(heads, floats(1, 2, 3)), {
        name: Tensor('float32', [1], floats(i + 1)) for i, name in enumerate(prototypes)}
    yield 'S26', 'name_with_nul', encode({'a\0b': entry('F32', [1], 0, 4)}, floats(1)), {
        'a\0b': Tensor('float32', [1], floats(1))}

    kinds = [('BF16', 'bfloat16', 2), ('F16', 'float16', 2), ('F64', 'float64', 8), ('I64', 'int64', 8), ('BOOL', 'bool', 1),
             ('U8', 'uint8', 1), ('I32', 'int32', 4), ('I16', 'int16', 2), ('I8', 'int8', 1), ('U16', 'uint16', 2),
             ('U32', 'uint32', 4), ('U64', 'uint64', 8)]
    for row, order in {'V01': kinds, 'V03': sorted(kinds, key=lambda kind: kind[2])}.items():
        heads, data, tensors = {}, b'', {}
        for stored, dtype, size in order:
            shape = [] if dtype == 'int64' else [3]
            content = bytes(range(1, 1 + size * (1 if dtype == 'int64' else 3))) if dtype != 'bool' else b'\1\0\1'
            heads[dtype] = entry(stored, shape, len(data), len(data) + len(content))
            data += content
            tensors[dtype] = Tensor(dtype, shape, content)
        odd = text(heads) + b' ' * (1 - len(text(heads)) % 2)
        yield row, 'every_dtype', encode(odd, data), tensors
    scattered = {'fc.weight': entry('F32', [5, 4], 20, 100), 'fc.bias': entry('F32', [5], 0, 20),
                 '__metadata__': {'Überschrift': '重み', 'format': 'pt'}}
    yield 'V02', 'metadata_last', encode(scattered), GOOD
    fields = b'{"data_offsets":[0,20],"shape":[5],"dtype":"F32"}'
    swapped = b'{"fc.b\\u0069as":' + fields + b',"fc.weight":' + text(entry('F32', [5, 4], 20, 100)) + b'}'
    yield 'V02', 'escapes_and_field_order', encode(swapped), GOOD
    yield 'V04', 'empty_tensors', encode(header(a=entry('F32', [0, 3], 20, 20), z=entry('I64', [0], 100, 100))), {
        **GOOD, 'a': Tensor('float32', [0, 3], b''), 'z': Tensor('int64', [0], b'')}
    yield 'V04', 'metadata_only', encode({'__metadata__': {'a': 'b'}}, b''), {}
    special = bytes.fromhex('0000c07f 0000807f 000080ff 00000080 01000000')
    yield 'V05', 'special_values', encode({'x': entry('F32', [5], 0, 20)}, special), {'x': Tensor('float32', [5], special)}
    yield 'V06', 'module_prefix', encode({f'module.{name}': value for name, value in header().items()}), GOOD
    yield 'V06', 'compiled_prefix', encode({f'_orig_mod.module.{name}': value for name, value in header().items()}), GOOD
    mixed = {'module.fc.bias': header()['fc.bias'], 'fc.weight': header()['fc.weight']}
    yield 'V06', 'prefix_of_one_name', encode(mixed), {'module.fc.bias': BIAS, 'fc.weight': WEIGHT}


def cases():
    for row, name, data, codes in hostile():
        yield Case(row, name, data, codes=codes)
    for row, name, data, tensors in unusual():
        yield Case(row, name, data, tensors=tensors)
