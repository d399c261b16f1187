"""Writes torch/: small files by the real torch and safetensors, with a manifest of their exact contents.

    python make_torch_fixtures.py        # torch 2.13.0, safetensors 0.8.0, numpy 2.4.6

The manifest has the form of make_files.py's. Its values come from torch's own tensors, before they are saved.
"""
import argparse
import json
from collections import OrderedDict
from pathlib import Path

import numpy
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent / 'torch'


def describe(tensor):
    tensor = tensor.detach().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b''
    return {'dtype': str(tensor.dtype).removeprefix('torch.'), 'shape': list(tensor.shape), 'data': data.hex()}


def small_net():
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 3), bn=nn.BatchNorm2d(2), fc=nn.Linear(2, 3)))
    net.bn.num_batches_tracked.fill_(2**32 + 5)
    return net.state_dict()


def every_dtype():
    kinds = (torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    tensors = {str(kind).removeprefix('torch.'): (torch.arange(6) % 3).reshape(2, 3).to(kind) for kind in kinds}
    return {**tensors, 'int64': torch.tensor(2**40), 'scalar': torch.tensor(1.5), 'empty': torch.zeros(0, 3)}


def strided():
    base = torch.arange(48.0).reshape(2, 3, 2, 4)
    return {
        'channels_last': base.contiguous(memory_format=torch.channels_last),
        'transposed': torch.arange(6.0).reshape(2, 3).t(),
        'columns': torch.arange(20.0).reshape(4, 5)[:, 1:3],
        'expanded': torch.arange(2.0)[:, None].expand(2, 4),
        'permuted_slice': base.permute(3, 1, 0, 2)[1:3, ::2],
    }


def shared():
    base = torch.arange(12.0)
    return {'whole': base, 'tied': base, 'head': base[:4], 'tail': base[6:].reshape(2, 3)}


def training(weights):
    return {'epoch': 3, 'loss': 0.25, 'none': None, 'big': 2**70, 'history': [1, (2.0, 'x'), True],
            'optimizer': {'state': {0: {'exp_avg': torch.ones(3)}}, 'param_groups': [{'lr': 0.1, 'params': [0]}]}, **weights}


def checkpoints():
    """Name, object, the tensors that a reader must find, options of torch.save."""
    torch.manual_seed(0)
    net = small_net()
    for legacy, suffix in ((False, ''), (True, '_legacy')):
        options = {'_use_new_zipfile_serialization': not legacy}
        yield f'V11_module{suffix}' if legacy else 'V10_module', net, net, options
        yield f'V14_strided{suffix}', strided(), strided(), options
        yield f'V15_shared{suffix}', shared(), shared(), options
        yield f'V16_every_dtype{suffix}', every_dtype(), every_dtype(), options
        yield f'V06_module_prefix{suffix}', {f'module.{name}': value for name, value in net.items()}, net, options
        for protocol in (3, 4, 5) if not legacy else (4,):
            yield f'V13_protocol_{protocol}{suffix}', net, net, {**options, 'pickle_protocol': protocol}
    parameters = {'weight': nn.Parameter(torch.arange(4.0)), 'grad': torch.ones(2, requires_grad=True)}
    yield 'V17_parameters', parameters, parameters, {}
    averaged = {name: value + 1 for name, value in net.items()}
    yield 'V18_state_dict', training({'state_dict': net}), net, {}
    yield 'V18_model_ema', training({'model': net, 'model_ema': averaged}), averaged, {}
    yield 'V18_model_prefixed', training({'model': {f'module.{name}': value for name, value in net.items()}}), net, {}
    arguments = argparse.Namespace(lr=0.1, model='resnet34')
    yield 'V23_namespace', {'args': arguments, 'state_dict': net}, net, {}
    yield 'V23_numpy_scalar', {'best': numpy.float64(0.5), 'state_dict': net}, net, {}


def main():
    FOLDER.mkdir(exist_ok=True)
    manifest = []
    for name, value, tensors, options in checkpoints():
        torch.save(value, FOLDER / f'{name}.pth', **options)
        manifest.append((f'{name}.pth', tensors))
    torch.serialization.set_crc32_options(False)
    torch.save(small := every_dtype(), FOLDER / 'V21_no_checksums.pth')
    manifest.append(('V21_no_checksums.pth', small))
    safetensors.torch.save_file(every_dtype(), FOLDER / 'V01_every_dtype.safetensors', metadata={'format': 'pt'})
    manifest.append(('V01_every_dtype.safetensors', every_dtype()))
    records = [{'file': file, 'row': file[:3], 'tensors': {name: describe(tensor) for name, tensor in tensors.items()}}
               for file, tensors in manifest]
    (FOLDER / 'manifest.json').write_text(json.dumps(records, separators=(',', ':')) + '\n')


if __name__ == '__main__':
    main()
