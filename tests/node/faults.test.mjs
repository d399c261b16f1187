// The corpus of hostile and unusual weight files, read through WebAssembly: each gives its error or its exact content, and
// memory is as it was.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createModel, loadStateDict } from 'wimm';

import { rejects, temporaryFolder } from './support.mjs';

const faults = fileURLToPath(new URL('../faults', import.meta.url));
const readJson = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'));
const written = temporaryFolder();
execFileSync('python3', [join(faults, 'make_files.py'), written]);

// Where PyTorch reads otherwise than wimm what wimm loads, and why wimm may.
const readOtherwise = {
  Z17_path_upwards: 'PyTorch refuses an entry outside the folder; wimm reads the folder alone',
  P08_marks_300000: 'POP_MARK is an opcode of pickle, though none that weights need',
  V18_encoder_of_ijepa: 'I-JEPA: wimm takes the encoder alone, PyTorch the whole',
  V23_namespace: 'beside the weights; PyTorch asks for it to be allowed',
  V23_numpy_scalar: 'beside the weights; PyTorch asks for it to be allowed',
  V23_opcodes_of_text: 'beside the weights; PyTorch reads the opcodes that it writes',
  V23_opcodes_of_bytes: 'beside the weights; PyTorch reads the opcodes that it writes',
  V23_opcodes_of_containers: 'beside the weights; PyTorch reads the opcodes that it writes',
  L00_short_persistent_ids: 'PyTorch wants the view of a storage even where there is none',
};
const mutantsReadOtherwise = {
  zip_bytes_114: 'marked as a folder in its attributes: PyTorch gives memory that it did not write',
  legacy_bytes_81: 'requires_grad is an integer, which does not matter here',
};

/** What is wrong with how the file is read, or nothing. */
async function problem(folder, record) {
  const before = process.cpuUsage();
  const found = await contradiction(folder, record);
  const { user, system } = process.cpuUsage(before);
  return found ?? (user + system > 5e6 ? `${record.file}: takes ${(user + system) / 1e6} s` : undefined);
}

async function contradiction(folder, { file, codes, tensors }) {
  const bytes = readFileSync(join(folder, file));
  let read;
  try {
    read = await loadStateDict(bytes);
  } catch (error) {
    if (error.message.length > 1000) return `${file}: a message of ${error.message.length} characters`;
    return codes?.includes(error.code) ? undefined : `${file}: ${error.code} ${error.message}`;
  }
  if (!tensors) return `${file}: read, instead of ${codes}`;
  const content = Object.fromEntries(
    [...read].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex') },
    ]),
  );
  try {
    assert.deepEqual(new Map(Object.entries(content)), new Map(Object.entries(tensors)));
  } catch ({ message }) {
    return `${file}: ${message}`;
  }
  return undefined;
}

/** As compare_readers.py computes it. */
function digestOf(tensors) {
  const hash = createHash('sha256');
  for (const [name, { dtype, shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\n${dtype}\n[${shape.join(', ')}]\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 12);
}

for (const [name, folder] of Object.entries({
  'hostile and unusual': written,
  "PyTorch's own": join(faults, 'torch'),
})) {
  test(`${name} files give their errors or their content`, async () => {
    const manifest = readJson(folder, 'manifest.json');
    const problems = [];
    for (const record of manifest) problems.push(await problem(folder, record));
    assert.deepEqual(problems.filter(Boolean), []);
    assert.ok(manifest.length > 0);
  });
}

test("what loads is what Python's readers find in it", () => {
  const readers = readJson(faults, 'readers.json');
  const problems = [];
  for (const { file, row, codes } of readJson(written, 'manifest.json')) {
    if (row.startsWith('F') || codes) continue; // packs have no other reader
    const { torch, safetensors = torch } = readers[file] ?? {};
    if (safetensors !== 'same' && !(file in readOtherwise)) problems.push(`${file}: ${safetensors}`);
  }
  assert.deepEqual(problems, []);
});

test('mutants that load are what other readers make of them', async () => {
  const folder = temporaryFolder();
  execFileSync('python3', ['-B', join(faults, 'mutants.py'), folder]);
  const verdicts = readJson(faults, 'mutants.json');
  let loaded = 0;
  const problems = [];
  for (const name of readJson(folder, 'mutants.json')) {
    const read = await loadStateDict(readFileSync(join(folder, name))).catch((error) => {
      assert.match(error.code, /^ERR_/);
    });
    if (!read) continue;
    loaded++;
    const digest = digestOf(read);
    if (verdicts[name] !== digest && !(name in mutantsReadOtherwise))
      problems.push(`${name}: ${digest}, wanted ${verdicts[name]}`);
  }
  assert.deepEqual(problems, []);
  assert.ok(loaded > 100, `${loaded}`);
});

test('bad files leave the module usable and its memory as it was', async () => {
  const manifest = readJson(written, 'manifest.json').filter(({ codes }) => codes);
  const readAll = async () => {
    for (const { file, codes } of manifest) await rejects(loadStateDict(readFileSync(join(written, file))), codes);
    const model = await createModel('resnet10t', { threads: 1, numClasses: 1 });
    const { heap, used } = await model.memory();
    model.dispose();
    return { heap, used };
  };
  await readAll();
  const settled = await readAll();
  assert.deepEqual(await readAll(), settled);
});
