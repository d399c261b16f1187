// The corpus of hostile and unusual weight files, read through WebAssembly: each gives its error or its exact content, and
// memory is as it was.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createModel, loadStateDict } from 'wimm';

import { rejects, temporaryFolder } from './support.mjs';

const faults = fileURLToPath(new URL('../faults', import.meta.url));
const written = temporaryFolder();
execFileSync('python3', [join(faults, 'make_files.py'), written]);

/** What is wrong with how the file is read, or nothing. */
async function problem(folder, { file, codes, tensors }) {
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

for (const [name, folder] of Object.entries({
  'hostile and unusual': written,
  "PyTorch's own": join(faults, 'torch'),
})) {
  test(`${name} files give their errors or their content`, async () => {
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const problems = await Promise.all(manifest.map((record) => problem(folder, record)));
    assert.deepEqual(problems.filter(Boolean), []);
    assert.ok(manifest.length > 0);
  });
}

test('bad files leave the module usable and its memory as it was', async () => {
  const manifest = JSON.parse(readFileSync(join(written, 'manifest.json'), 'utf8')).filter(({ codes }) => codes);
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
