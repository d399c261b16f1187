"""Reads the corpus and its mutants with Python's own readers, and writes down what they make of them.

    python compare_readers.py        # torch 2.13.0, safetensors 0.8.0

readers.json: for each file of make_files.py the verdict of torch.load(weights_only=True) or of safetensors, and for zip
archives that of zipfile: "same" (what the manifest says), "differs", "refuses", "crashes", or for a file that wimm refuses
"loads". It stops where wimm's expectation is contradicted.
mutants.json: for each file of mutants.py "refuses", or the first 12 digits of the SHA-256 of its tensors, sorted by name.
"""
import hashlib
import io
import json
import os
import resource
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import safetensors
import torch

import make_files
import mutants

FOLDER = Path(__file__).parent
DTYPES = {'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16', 'F64': 'float64', 'I64': 'int64', 'I32': 'int32',
          'I16': 'int16', 'I8': 'int8', 'U64': 'uint64', 'U32': 'uint32', 'U16': 'uint16', 'U8': 'uint8', 'BOOL': 'bool'}


def is_safetensors(data):
    return not data.startswith(b'PK') and not data.startswith(b'\x80') and data[8:9] == b'{'


def tensor_bytes(tensor):
    tensor = tensor.detach().contiguous()
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b''


def tensors_in(value):
    """The tensors of a dictionary and of those in it, by their innermost key."""
    found = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, torch.Tensor):
                found.append((key, str(item.dtype).removeprefix('torch.'), list(item.shape), tensor_bytes(item)))
            else:
                found += tensors_in(item)
    return found


def read(data):
    """[(name, dtype, shape, bytes)]; raises what the reader raises."""
    if is_safetensors(data):
        return [(name, DTYPES.get(info['dtype'], info['dtype']), list(info['shape']), bytes(info['data']))
                for name, info in safetensors.deserialize(data)]
    return tensors_in(torch.load(io.BytesIO(data), map_location='cpu', weights_only=True))


def apart(work):
    """The result of `work()`, in a process of its own: a reader may crash. None where it does."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, 'rb') as stream:
        result = stream.read()
    os.waitpid(child, 0)
    return json.loads(result) if result else None


def verdict(data, expected):
    def work():
        try:
            found = {(name, dtype, tuple(shape), content.hex()) for name, dtype, shape, content in read(data)}
        except BaseException:  # pyo3's panics are no Exceptions
            return 'refuses'
        if expected is None:
            return 'loads'
        names = {name for name, *_ in found}
        wanted = {(name if name in names else next((n for n in names if str(n).endswith('.' + name)), name), tensor['dtype'],
                   tuple(tensor['shape']), tensor['data']) for name, tensor in expected.items()}
        return 'same' if wanted <= found else 'differs'
    return apart(work) or 'crashes'


def zip_verdict(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return 'loads' if file.testzip() is None else 'refuses'
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib_error()):
        return 'refuses'


def zlib_error():
    import zlib
    return zlib.error


def mutant_verdict(data):
    def work():
        try:
            tensors = read(data)
        except BaseException:
            return 'refuses'
        digest = hashlib.sha256()
        try:
            for name, dtype, shape, content in sorted(tensors):
                digest.update(f'{name}\n{dtype}\n{shape}\n'.encode())
                digest.update(content)
        except (TypeError, UnicodeEncodeError):
            return 'refuses'  # names that are no text
        return digest.hexdigest()[:12]
    return apart(work) or 'crashes'


def main():
    warnings.simplefilter('ignore')
    sys.stderr = open(os.devnull, 'w')  # panics print themselves
    readers = {}
    with tempfile.TemporaryDirectory() as folder:
        make_files.main(folder)
        for record in json.loads((Path(folder) / 'manifest.json').read_text()):
            data = (Path(folder) / record['file']).read_bytes()
            if record['row'].startswith('F') or len(data) > 2_000_000:
                continue  # packs have no other reader
            verdicts = {'safetensors' if is_safetensors(data) else 'torch': verdict(data, record.get('tensors'))}
            if data.startswith(b'PK'):
                verdicts['zipfile'] = zip_verdict(data)
            readers[record['file']] = verdicts
    (FOLDER / 'readers.json').write_text(
        '{\n' + ',\n'.join(f'  {json.dumps(file)}: {json.dumps(verdicts)}' for file, verdicts in readers.items()) + '\n}\n')
    outcomes = {name: mutant_verdict(data) for name, data in mutants.mutants()}
    (FOLDER / 'mutants.json').write_text(
        '{\n' + ',\n'.join(f'  {json.dumps(name)}: {json.dumps(outcome)}' for name, outcome in outcomes.items()) + '\n}\n')


if __name__ == '__main__':
    main()
