"""Hostile and unusual files of torch.save's legacy format, and files that are no checkpoints at all."""
import io
import tarfile

from case import BIAS, CORRUPT, FORBIDDEN, GOOD, TRUNCATED, UNKNOWN, UNSUPPORTED, Case
from torch_files import (FALSE, MAGIC, NONE, STORAGES, bias, call, dict_of, global_of, integer, legacy, list_of, pickle,
                         state_dict, storage, system, tensor, text, tuple_of, weight)

ATTACK = call(global_of('os', 'system'), text('true'))


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        for name in ('sys_info', 'pickle', 'storages', 'tensors'):
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def hostile():
    good = legacy()
    yield 'L01', 'wrong_magic', legacy(magic=integer(MAGIC + 1)), [UNKNOWN]
    yield 'L01', 'bare_pickle', pickle(state_dict()), [UNKNOWN]
    yield 'L02', 'protocol_1002', legacy(version=integer(1002)), [UNSUPPORTED]
    yield 'L03', 'big_endian', legacy(system=system(FALSE)), [UNSUPPORTED]
    yield 'L03', 'no_byte_order', legacy(system=dict_of({})), [CORRUPT]
    for place in ('magic', 'version', 'system', 'body', 'keys'):
        yield 'L04', f'attack_in_{place}', legacy(**{place: ATTACK}), [FORBIDDEN]
    yield 'L05', 'storage_short', good[:-3], [TRUNCATED]
    yield 'L05', 'storages_missing', legacy(storages={}, keys=list_of(text('0'), text('1'))), [TRUNCATED]
    yield 'L05', 'bytes_behind_the_last', good + b'\0' * 16, [CORRUPT]
    for name, count in {'38643': 4254413747647032608, 'negative': -1, 'other': 4}.items():
        yield 'L06', f'count_{name}', legacy(counts={'1': count}), [CORRUPT]
    keys = {'omitted': [text('0')], 'unused': [text('0'), text('1'), text('2')], 'repeated': [text('0'), text('0'), text('1')],
            'integer': [integer(0), integer(1)]}
    for name, items in keys.items():
        yield 'L07', f'key_{name}', legacy(keys=list_of(*items)), [CORRUPT]
    yield 'L07', 'keys_in_a_dict', legacy(keys=dict_of({'0': NONE, '1': NONE})), [CORRUPT]
    view = tuple_of(text('2'), integer(4), integer(5))
    body = dict_of({'fc.weight': weight((NONE,)), 'fc.bias': tensor(storage('1', 5, tail=(view,)), 0, [5], [1])})
    yield 'L08', 'storage_view', legacy(body), [UNSUPPORTED]
    yield 'L09', 'tar', tar(), [UNSUPPORTED]

    yield 'N02', 'html', b'\n<!DOCTYPE html><html><title>Sign in</title></html>', [UNKNOWN]
    yield 'N03', 'lfs_pointer', b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', [UNKNOWN]
    yield 'L01', 'text', b'These are not the weights that you look for.', [UNKNOWN]


def unusual():
    yield 'L00', 'control', legacy()
    yield 'L00', 'short_persistent_ids', legacy(body=state_dict())
    yield 'V06', 'legacy_module_prefix', legacy(dict_of({'module.fc.weight': weight((NONE,)), 'module.fc.bias': bias((NONE,))}))
    yield 'V12', 'first_rebuild_tensor', legacy(dict_of({
        name: call(global_of('torch._utils', '_rebuild_tensor'), storage(key, count, tail=(NONE,)), integer(0), tuple_of(*map(integer, size)),
                   tuple_of(*map(integer, stride)))
        for name, key, count, size, stride in (('fc.weight', '0', 20, [5, 4], [4, 1]), ('fc.bias', '1', 5, [5], [1]))}))
    yield 'V13', 'legacy_protocol_4', legacy(protocol=4)


def cases():
    for row, name, data, codes in hostile():
        yield Case(row, name, data, codes=codes)
    for row, name, data in unusual():
        yield Case(row, name, data, tensors=GOOD)
