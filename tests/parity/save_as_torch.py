"""Saves a safetensors file as torch.save does, in its zip format or the legacy one, without torch.

    python3 save_as_torch.py IN.safetensors OUT.pth [--legacy]
"""
import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / 'faults'))
import torch_files as torch  # noqa: E402

STORAGES = {'F32': 'FloatStorage', 'F16': 'HalfStorage', 'BF16': 'BFloat16Storage', 'I64': 'LongStorage'}


def strides(shape):
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return steps[::-1][:len(shape)] if shape else []


def main():
    source, target, *options = sys.argv[1:]
    content = Path(source).read_bytes()
    length, = struct.unpack_from('<Q', content)
    header, data = json.loads(content[8:8 + length]), memoryview(content)[8 + length:]

    legacy = '--legacy' in options
    tensors, storages, counts = {}, {}, {}
    for index, (name, info) in enumerate(header.items()):
        key, shape = str(index), info['shape']
        begin, end = info['data_offsets']
        storages[key] = bytes(data[begin:end])
        counts[key] = (end - begin) * 8 // int(info['dtype'].lstrip('BFI'))
        storage = torch.storage(key, counts[key], STORAGES[info['dtype']], (torch.NONE,) if legacy else ())
        tensors[name] = torch.tensor(storage, 0, shape, strides(shape))
    body = torch.dict_of(tensors)
    saved = torch.legacy(body, storages, counts=counts) if legacy else torch.checkpoint(body, storages)
    Path(target).write_bytes(saved)


if __name__ == '__main__':
    main()
