"""Writes the corpus of hostile and unusual weight files, with a manifest that says what a reader must see.

    python3 make_files.py FOLDER

The manifest is a list of {"file", "row"} with either "codes", the errors of which one must be seen, or "tensors", the exact
content: name → {"dtype", "shape", "data"}, data being hexadecimal.
"""
import json
import sys
from pathlib import Path

import legacy_cases
import pack_cases
import pickle_cases
import safetensors_cases
import zip_cases


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest, files = [], set()
    for module in (safetensors_cases, zip_cases, pickle_cases, legacy_cases, pack_cases):
        for case in module.cases():
            file = f'{case.row}_{case.name}'
            if file in files:
                raise ValueError(f'two files are named {file}')
            files.add(file)
            (folder / file).write_bytes(case.data)
            record = {'file': file, 'row': case.row}
            if case.codes is not None:
                record['codes'] = case.codes
            else:
                record['tensors'] = {name: {'dtype': tensor.dtype, 'shape': tensor.shape, 'data': tensor.data.hex()}
                                     for name, tensor in case.tensors.items()}
            manifest.append(record)
    (folder / 'manifest.json').write_text(json.dumps(manifest, indent=1))


if __name__ == '__main__':
    main(sys.argv[1])
