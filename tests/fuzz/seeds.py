"""Writes the seeds of the fuzzers: the corpus of weight files by format, and some bytes for the others.

    python3 seeds.py FOLDER
"""
import io
import random
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / 'faults'))

import legacy_cases
import pack_cases
import pickle_cases
import safetensors_cases
import zip_cases

LARGEST = 4096  # larger ones are slow, and hold nothing that small ones cannot


def without_checksums(archive):
    """The bytes of the zip archive, where mutants are not stopped by a CRC: 0 stands for one that was not computed."""
    directory = archive.rfind(b'PK\5\6')
    data = bytearray(archive)
    for signature, offset in ((b'PK\1\2', 16), (b'PK\3\4', 14)):
        at = archive.find(signature)
        while 0 <= at < directory:
            data[at + offset:at + offset + 4] = bytes(4)
            at = archive.find(signature, at + 4)
    return bytes(data)


def pickle_of(archive):
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            return file.read('archive/data.pkl')
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError):
        return None


def seeds():
    modules = {'safetensors': safetensors_cases, 'zip': zip_cases, 'pickle': pickle_cases, 'legacy': legacy_cases,
               'pack': pack_cases}
    for target, module in modules.items():
        for case in module.cases():
            if len(case.data) > LARGEST * 4:
                continue
            name = f'{case.row}_{case.name}'
            is_zip = case.data.startswith(b'PK')
            if target == 'pickle' and (pickle := pickle_of(case.data)):
                yield 'pickle', name, pickle
            elif is_zip:
                yield 'zip', name, without_checksums(case.data)
            else:
                yield target, name, case.data
            if case.tensors:
                yield 'repack', name, without_checksums(case.data) if is_zip else case.data
    generator = random.Random(1)
    for i in range(16):
        yield 'model', str(i), generator.randbytes(24)
        yield 'preprocess', str(i), generator.randbytes(200)


def main(folder):
    for target, name, data in seeds():
        if len(data) <= LARGEST:
            path = Path(folder) / target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == '__main__':
    main(sys.argv[1])
