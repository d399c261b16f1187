// The families that a build has.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

// Configures a build of these families, into a folder of its own.
function configure(t, families) {
  const folder = mkdtempSync(join(tmpdir(), 'wimm-families-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const result = spawnSync('cmake', ['--preset', 'native', '-B', folder, `-DWIMM_FAMILIES=${families}`], {
    cwd: root,
    encoding: 'utf8',
  });
  return { ...result, read: (path) => readFileSync(join(folder, path), 'utf8') };
}

test('WIMM_FAMILIES names the families that are built in, and that the catalogue offers', (t) => {
  const { status, stderr, read } = configure(t, 'vgg;resnet');
  assert.equal(status, 0, stderr);
  assert.equal(read('src/models/families.inc'), 'WIMM_FAMILY(vgg)\nWIMM_FAMILY(resnet)\n');
  assert.match(read('src/catalogue/embedded.cpp'), /modules_json = R"json\(\["vgg", "resnet"\]\)json"/);
});

test('all families of the catalogue are built in unless some are named', (t) => {
  const { status, stderr, read } = configure(t, '');
  assert.equal(status, 0, stderr);
  const modules = JSON.parse(readFileSync(join(root, 'src/catalogue/modules.json'), 'utf8'));
  assert.equal(read('src/models/families.inc'), modules.map((name) => `WIMM_FAMILY(${name})\n`).join(''));
});

test('a family that does not exist is refused by its name', (t) => {
  const { status, stderr } = configure(t, 'resnet;alexnet');
  assert.notEqual(status, 0);
  assert.match(stderr, /there is no family\s+alexnet/);
});
