// A short run of the fuzzers of all that reads files (tests/fuzz); `npm run fuzz` is the long one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const script = join(root, 'scripts/fuzz.mjs');
const targets = ['safetensors', 'zip', 'pickle', 'legacy', 'pack', 'repack'];

const empty = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }';
const compile = ['-fsanitize=fuzzer,address', '-x', 'c++', '-', '-o', '/dev/null'];
const skip =
  spawnSync('clang++', compile, { input: empty }).status !== 0 &&
  'needs clang with libFuzzer (on Debian: clang, libclang-rt-dev)';

test('twenty thousand inputs of each reader are read, or are a typed error', { skip }, (t) => {
  // Hangs have tests of their own: here an input may take as long as a busy machine makes it.
  const args = [script, '--runs', '20000', '--timeout', '120', ...targets];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  for (const line of stdout.trim().split('\n')) t.diagnostic(line);
  assert.equal(status, 0, stdout + stderr);
});
