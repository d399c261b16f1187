"""Hostile and unusual pickles in a good zip archive."""
import struct

from case import BIAS, CORRUPT, FORBIDDEN, GOOD, LIMIT, MISMATCH, TRUNCATED, UNSUPPORTED, WEIGHT, Case, Tensor, floats
from torch_files import (EMPTY_TUPLE, FALSE, NONE, TRUE, bias, call, checkpoint, dict_of, global_of, integer, legacy, list_of,
                         ordered_dict, parameter, real, sizes, stack_global, state_dict, storage, tensor, text, tuple_of, weight)

SYSTEM = global_of('os', 'system')
REBUILD = global_of('torch._utils', '_rebuild_tensor_v2')


def with_value(value):
    """A good state dict with one more value in it."""
    return state_dict(x=value)


def with_tensor(offset=0, size=(5,), stride=(1,), source=None):
    return dict_of({'fc.weight': weight(), 'fc.bias': tensor(storage('1', 5) if source is None else source, offset, size, stride)})


def with_storage(**changes):
    return with_tensor(source=storage(**{'key': '1', 'numel': 5, **changes}))


def persistent(*items):
    return tuple_of(*items) + b'Q'


def forbidden():
    yield 'P01', 'global_called', with_value(call(SYSTEM, text('true')))
    yield 'P01', 'global_popped', SYSTEM + b'0' + state_dict()
    yield 'P02', 'stack_global', with_value(stack_global('os', 'system') + tuple_of(text('true')) + b'R')
    memo = text('os') + b'q\7' + b'0' + text('system') + b'q\3' + b'0' + b'h\7h\3\x93'
    yield 'P02', 'stack_global_through_the_memo', with_value(memo)
    yield 'P03', 'attribute_walk', with_value(global_of('torch.serialization', 'os.system'))
    yield 'P03', 'attribute_of_an_allowed_name', with_value(stack_global('torch._utils', '_rebuild_tensor_v2.__globals__'))
    yield 'P03', 'other_case', with_value(global_of('collections', 'ordereddict'))
    yield 'P03', 'cr_and_nul', with_value(global_of('collections\r', 'OrderedDict\0'))
    yield 'P04', 'torch_load', with_value(global_of('torch.serialization', 'load'))
    yield 'P04', 'load_from_bytes', with_value(global_of('torch.storage', '_load_from_bytes'))
    yield 'P04', 'getattr', with_value(global_of('builtins', 'getattr'))
    yield 'P04', 'newobj', with_value(global_of('copyreg', '__newobj__'))
    yield 'P05', 'build_on_a_function', with_value(REBUILD + dict_of({'__code__': NONE}) + b'b')
    yield 'P05', 'build_on_a_tensor', with_value(bias() + tuple_of(storage('1', 5), integer(0), sizes([500]), sizes([1])) + b'b')
    yield 'P05', 'call_of_a_tensor', with_value(call(bias(), NONE))
    yield 'P05', 'call_of_a_storage_type', with_value(call(global_of('torch', 'FloatStorage'), integer(5)))
    yield 'P07', 'inst', with_value(b'(' + text('true') + b'ios\nsystem\n')
    yield 'P07', 'obj', with_value(b'(' + global_of('collections', 'OrderedDict') + b'o')
    for name, opcode in {'': b'\x82\1', '_of_2_bytes': b'\x83\1\0', '_of_4_bytes': b'\x84\1\0\0\0'}.items():
        yield 'P07', f'extension{name}', with_value(opcode)
    yield 'P07', 'text_persistent_id', with_value(b'Pstorage\n')
    yield 'P15', 'newobj_ex', with_value(global_of('argparse', 'Namespace') + EMPTY_TUPLE + dict_of({}) + b'\x92')
    yield 'P17', 'whole_module', global_of('__main__', 'Net') + EMPTY_TUPLE + b'\x81' + dict_of({}) + b'b'
    yield 'P26', 'quantised_storage', with_storage(kind='QInt8Storage')
    yield 'P26', 'complex_storage', with_storage(kind='ComplexFloatStorage')
    yield 'P26', 'sparse_tensor', with_value(global_of('torch._utils', '_rebuild_sparse_tensor'))
    yield 'P26', 'quantised_tensor', with_value(global_of('torch._utils', '_rebuild_qtensor'))


def corrupt():
    yield 'P06', 'setitem_on_a_tensor', with_value(bias() + integer(0) + real(1) + b's')
    yield 'P06', 'setitem_on_a_storage', with_value(storage('1', 5) + integer(0) + real(1) + b's')
    yield 'P06', 'append_to_a_dict', with_value(dict_of({}) + NONE + b'a')
    yield 'P06', 'odd_setitems', b'}(' + text('fc.bias') + bias() + text('x') + b'u'
    yield 'P10', 'empty_memo_slot', with_value(b'h\x63')
    yield 'P11', 'put_on_an_empty_stack', b'q\0' + state_dict()
    yield 'P11', 'reduce_on_an_empty_stack', b'R'
    yield 'P11', 'nothing_to_stop_with', b''
    yield 'P11', 'setitems_without_a_mark', b'}' + text('fc.bias') + bias() + b'u'
    yield 'P11', 'pop_through_a_mark', b'}(' + text('a') + b'000'
    yield 'P11', 'mark_left', b'(' + state_dict()
    yield 'P11', 'value_left', NONE + state_dict()
    yield 'P11', 'list_without_a_mark', b'l' + state_dict()
    yield 'P11', 'odd_dict', with_value(b'(' + text('a') + b'd')
    for name, line in {'integer': b'Ione\n', 'long': b'L1.5\n', 'wide': b'L99999999999999999999L\n', 'slot': b'N' + b'p-\n'}.items():
        yield 'P13', f'text_not_an_integer_{name}', with_value(line)
    yield 'P13', 'line_of_1_mib', with_value(b'c' + b'x' * 2**20)
    yield 'P13', 'negative_length', with_value(b'\x8b' + struct.pack('<i', -1))
    yield 'P13', 'numel_of_2040_bits', with_storage(numel=b'\x8a\xff' + b'\x7f' * 255)
    yield 'P14', 'name_not_utf8', dict_of({'fc.weight': weight(), text(b'fc.\xff'): bias()})
    yield 'P16', 'integer_keys', dict_of({'fc.weight': weight(), integer(1): bias()})
    yield 'P16', 'name_twice', b'}(' + (text('fc.bias') + bias()) * 2 + b'u'
    yield 'P20', 'numel_above_the_record', with_tensor(source=storage('1', 1_000_000), size=[1_000_000])
    yield 'P20', 'numel_negative', with_storage(numel=-5)
    yield 'P20', 'numel_wraps_32_bits', with_storage(numel=2**30 + 5)
    yield 'P20', 'numel_float', with_storage(numel=real(5))
    yield 'P21', 'size_above_the_storage', with_tensor(size=[6])
    for name, offset in {'1': 1, 'negative': -1, '2_63': 2**63 - 1, '2_32': 2**32}.items():
        yield 'P21', f'offset_{name}', with_tensor(offset=offset)
    for name, stride in {'negative': -1, '1000': 1000, 'wraps_64_bits': 2**62, 'wraps_32_bits': 2**30}.items():
        yield 'P22', f'stride_{name}', with_tensor(stride=[stride])
    yield 'P24', 'more_sizes_than_strides', with_tensor(size=[5, 1])
    yield 'P24', 'negative_dimension', with_tensor(size=[-5])
    yield 'P24', 'two_negative_dimensions', with_tensor(size=[-5, -1], stride=[1, 1])
    yield 'P24', 'dimension_float', with_tensor(size=[real(5)])
    yield 'P24', 'dimension_text', with_tensor(size=[text('5')])
    yield 'P25', 'two_arguments', with_value(call(REBUILD, storage('1', 5), integer(0)))
    yield 'P25', 'eight_arguments', with_value(call(REBUILD, storage('1', 5), integer(0), sizes([5]), sizes([1]), *[NONE] * 4))
    yield 'P25', 'parameter_of_one_argument', with_value(call(global_of('torch._utils', '_rebuild_parameter'), bias()))
    yield 'P25', 'ordered_dict_of_two', with_value(call(global_of('collections', 'OrderedDict'), list_of(), list_of()))
    yield 'P25', 'ordered_dict_of_triples', with_value(call(global_of('collections', 'OrderedDict'), list_of(list_of(*[NONE] * 3))))
    yield 'P25', 'arguments_are_a_list', with_value(REBUILD + list_of(storage('1', 5)) + b'R')
    yield 'P25', 'tensor_of_a_string', with_value(tensor(text('1'), 0, [5], [1]))
    yield 'P25', 'parameter_of_an_integer', with_value(parameter(integer(5)))
    ids = {'module': [text('module'), NONE, NONE, NONE, NONE], 'short': [text('storage')],
           'type_is_a_string': [text('storage'), text('FloatStorage'), text('1'), text('cpu'), integer(5)],
           'type_is_a_function': [text('storage'), REBUILD, text('1'), text('cpu'), integer(5)]}
    for name, items in ids.items():
        yield 'P27', f'persistent_id_{name}', with_tensor(source=persistent(*items))
    yield 'P27', 'persistent_id_of_7', with_tensor(source=persistent(*ids['module'], NONE, NONE))
    yield 'P27', 'persistent_id_a_string', with_tensor(source=text('storage') + b'Q')
    yield 'P27', 'key_upwards', with_storage(key='../data.pkl')
    twice = {'fc.weight': weight(), 'fc.bias': bias()}
    yield 'P28', 'two_sizes', dict_of({**twice, 'x': tensor(storage('1', 4), 0, [4], [1])})
    yield 'P28', 'two_dtypes', dict_of({**twice, 'x': tensor(storage('1', 5, kind='DoubleStorage'), 0, [5], [1])})


def others():
    yield 'P08', 'state_dict_nested_20000_deep', nested_state_dict(20_000), [MISMATCH]
    laughs = list_of() + b'q\0' + b''.join(b'0](' + bytes([ord('h'), i]) * 10 + b'eq' + bytes([i + 1]) for i in range(40))
    yield 'P09', 'billion_laughs', laughs, [MISMATCH]
    pairs = list_of(*[list_of(text('a'), NONE)] * 1000) + b'q\0'
    copies = pairs + b'0' + (global_of('collections', 'OrderedDict') + b'h\0\x85R0') * 20_000
    yield 'P09', 'copies_of_a_list', copies + state_dict(), [LIMIT]
    yield 'P09', 'dict_in_itself', b'}q\0(' + text('state_dict') + b'h\0' + text('model') + b'h\0u', [MISMATCH]
    yield 'P12', 'cut_in_a_string', with_value(text('x' * 100))[:-60], [TRUNCATED, CORRUPT]
    yield 'P13', 'string_of_2_32', with_value(b'X\xff\xff\xff\xff'), [TRUNCATED]
    yield 'P13', 'string_of_2_63', with_value(b'\x8d' + struct.pack('<Q', 2**63)), [TRUNCATED]
    yield 'P13', 'bytes_of_2_63', with_value(b'\x8e' + struct.pack('<Q', 2**63)), [TRUNCATED]
    yield 'P13', 'long4_of_2_31', with_value(b'\x8b' + struct.pack('<i', 2**31 - 1)), [TRUNCATED]
    yield 'P13', 'frame_of_2_40', b'\x95' + struct.pack('<Q', 2**40) + state_dict(), [TRUNCATED]
    yield 'P27', 'view_of_a_storage', with_tensor(source=storage('1', 5, tail=(tuple_of(text('2'), integer(0), integer(5)),))), [UNSUPPORTED]
    many = {str(i): bias() for i in range(6)}
    yield 'P16', 'six_keys_of_tensors', dict_of({name: dict_of({'x': value}) for name, value in many.items()}), [MISMATCH]
    yield 'P15', 'undefined_opcode', with_value(b'\xf0'), [UNSUPPORTED]
    yield 'P15', 'next_buffer', with_value(b'\x97'), [UNSUPPORTED]
    yield 'P16', 'top_is_an_integer', integer(7), [MISMATCH]
    yield 'P16', 'top_is_none', NONE, [MISMATCH]
    yield 'P16', 'top_is_empty', dict_of({}), [MISMATCH]
    yield 'P20', 'numel_wraps_64_bits', with_storage(numel=2**62 + 5), [LIMIT]
    yield 'P23', 'stride_0_of_256_gib', with_tensor(size=[2**18, 2**18], stride=[0, 0]), [LIMIT]
    yield 'P23', 'stride_0_wraps_32_bits', with_tensor(size=[2**16, 2**16], stride=[0, 0]), [LIMIT]
    yield 'P23', 'stride_0_wraps_64_bits', with_tensor(size=[2**32, 2**32], stride=[0, 0]), [LIMIT]
    yield 'P24', 'rank_1000', with_tensor(size=[1] * 1000, stride=[1] * 1000), [LIMIT]


def nested_state_dict(depth):
    return (b'}' + text('state_dict')) * depth + b'}' + b's' * depth


def unusual():
    yield 'P08', 'tuples_nested_200000_deep', with_value(EMPTY_TUPLE + b'\x85' * 200_000), GOOD
    yield 'P08', 'marks_300000', b'(' * 300_000 + b'1' * 300_000 + state_dict(), GOOD
    yield 'P09', 'list_in_itself', with_value(b']q\0h\0a'), GOOD
    yield 'P10', 'largest_memo_slot', state_dict() + b'r\xff\xff\xff\xff', GOOD
    numbers = b'I01\nI00\nI-7\nL12L\nL-3\nF1.5\nM\1\0\x8a\0\x8a\1\xff' + integer(-(2**40))
    yield 'V23', 'opcodes_of_text', with_value(b'](' + numbers + b'Np300\n0g300\ne'), GOOD
    binary = b'C\1xB\1\0\0\0x\x8e\1\0\0\0\0\0\0\0x\x96\1\0\0\0\0\0\0\0x'
    strings = b'U\1xT\1\0\0\0x\x8d\1\0\0\0\0\0\0\0x\x8c\1x'
    yield 'V23', 'opcodes_of_bytes', with_value(b'](' + binary + strings + b'N2e'), GOOD
    containers = b'\x8f(NN\x90' + b'(N\x91' + b'(Nl' + b'(' + text('a') + b'Nd' + b'NN\x86NNN\x87]Na}' + text('a') + b'Ns(N0'
    yield 'V23', 'opcodes_of_containers', with_value(b'](' + containers + b'0e'), GOOD
    yield 'V12', 'plain_dict', dict_of({'fc.weight': weight(), 'fc.bias': bias()}), GOOD
    pairs = list_of(list_of(text('fc.weight'), weight()), list_of(text('fc.bias'), bias()))
    yield 'V12', 'ordered_dict_of_python_2', call(global_of('collections', 'OrderedDict'), pairs), GOOD
    yield 'V14', 'transposed', dict_of({'t': tensor(storage('0', 20), 0, [4, 5], [1, 4])}), {
        't': Tensor('float32', [4, 5], floats(*(4 * row + column for column in range(4) for row in range(5))))}
    yield 'V14', 'column_slice', dict_of({'t': tensor(storage('0', 20), 1, [5, 2], [4, 2])}), {
        't': Tensor('float32', [5, 2], floats(*(4 * row + column for row in range(5) for column in (1, 3))))}
    yield 'V14', 'expanded', dict_of({'t': tensor(storage('1', 5), 2, [2, 3], [1, 0])}), {
        't': Tensor('float32', [2, 3], floats(2.5, 2.5, 2.5, 3.5, 3.5, 3.5))}
    yield 'V15', 'tied', dict_of({'a': weight(), 'b': weight(), 'c': tensor(storage('0', 20), 18, [2], [1])}), {
        'a': WEIGHT, 'b': WEIGHT, 'c': Tensor('float32', [2], floats(18, 19))}
    yield 'V16', 'scalar', dict_of({'s': tensor(storage('1', 5), 3, [], [])}), {'s': Tensor('float32', [], floats(3.5))}
    yield 'V16', 'empty', dict_of({'e': tensor(storage('1', 5), 5, [0, 4], [4, 1])}), {'e': Tensor('float32', [0, 4], b'')}
    yield 'V17', 'parameters', dict_of({'fc.weight': parameter(weight()), 'fc.bias': parameter(bias())}), GOOD
    training = {'epoch': integer(3), 'loss': real(0.5), 'none': NONE, 'big': integer(2**70), 'list': list_of(integer(1), TRUE),
                'optimizer': dict_of({'state': dict_of({integer(0): dict_of({'step': bias()})})})}
    yield 'V18', 'training_state_dict', dict_of({**training, 'state_dict': state_dict()}), GOOD
    yield 'V18', 'training_model', dict_of({'model': state_dict(), **training}), GOOD
    other = dict_of({'fc.bias': weight()})
    prefixed = dict_of({'module.fc.weight': weight(), 'module.fc.bias': bias()})
    yield 'V18', 'averaged_weights_first', dict_of({'model': other, 'state_dict_ema': state_dict(), 'model_ema': other}), GOOD
    yield 'V18', 'state_dict_before_model', dict_of({'model': other, 'state_dict': state_dict()}), GOOD
    yield 'V18', 'encoder_of_ijepa', dict_of({'encoder': prefixed, 'predictor': other, 'epoch': integer(3)}), GOOD
    parts = dict_of({'trunk': dict_of({'fc.weight': weight()}), 'heads': dict_of({'fc.bias': bias()})})
    seer = dict_of({'base_model': dict_of({'model': parts}), 'phase_idx': integer(1)})
    yield 'V18', 'trunk_and_heads_of_seer', dict_of({'classy_state_dict': seer}), GOOD
    yield 'V18', 'tensor_named_model', dict_of({'model': bias()}), {'model': BIAS}
    yield 'V18', 'model_with_prefixes', dict_of({'model': prefixed}), GOOD
    namespace = global_of('argparse', 'Namespace') + EMPTY_TUPLE + b'\x81' + dict_of({'lr': real(0.1)}) + b'b'
    yield 'V23', 'namespace', dict_of({'args': namespace, 'state_dict': state_dict()}), GOOD
    dtype = call(global_of('numpy', 'dtype'), text('f8'), FALSE, TRUE) + tuple_of(integer(3), text('<')) + b'b'
    encoded = call(global_of('_codecs', 'encode'), text('\0' * 8), text('latin1'))
    scalar = call(global_of('numpy.core.multiarray', 'scalar'), dtype, encoded)
    yield 'V23', 'numpy_scalar', dict_of({'best': scalar, 'state_dict': state_dict()}), GOOD


def many_tensors(count, tail=()):
    """`count` one-element tensors, everything memoised, so that most memo slots are above 255."""
    body = b'}(' + text('hooks') + ordered_dict() + b'r' + struct.pack('<I', 2 * count)
    for i in range(count):
        view = tensor(storage(str(i), 1, tail=tail), 0, [1], [1]).replace(ordered_dict(), b'j' + struct.pack('<I', 2 * count))
        name = text(f'layer.{i}')
        body += name + b'r' + struct.pack('<I', 2 * i) + view + b'r' + struct.pack('<I', 2 * i + 1)
    body += text('tied') + b'j' + struct.pack('<I', 2 * count - 1) + b'u'
    storages = {str(i): floats(i) for i in range(count)}
    tensors = {f'layer.{i}': Tensor('float32', [1], floats(i)) for i in range(count)}
    return body, storages, {**tensors, 'tied': Tensor('float32', [1], floats(count - 1))}


def cases():
    body, storages, tensors = many_tensors(1500)
    yield Case('V22', 'tensors_1500', checkpoint(body, storages), tensors=tensors)
    body, storages, tensors = many_tensors(1500, tail=(NONE,))
    yield Case('V22', 'tensors_1500_legacy', legacy(body, storages), tensors=tensors)
    for row, name, body in forbidden():
        yield Case(row, name, checkpoint(body), codes=[FORBIDDEN])
    for row, name, body in corrupt():
        yield Case(row, name, checkpoint(body), codes=[CORRUPT])
    for row, name, body, codes in others():
        yield Case(row, name, checkpoint(body), codes=codes)
    yield Case('P12', 'no_stop', checkpoint(state_dict() + b'}' * 3).replace(b'}}}.', b'}}}}'), codes=[TRUNCATED, CORRUPT, 'ERR_INTEGRITY'])
    yield Case('P15', 'protocol_9', checkpoint(protocol=9), codes=[UNSUPPORTED])
    for row, name, body, tensors in unusual():
        yield Case(row, name, checkpoint(body), tensors=tensors)
