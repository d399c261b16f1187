// There is no memory, at any place (tests/faults/allocations.cpp): at each of them only with WIMM_TEST_ALL=1.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const program = join(import.meta.dirname, '../../build/native/tests/wimm_allocations');
const stride = process.env.WIMM_TEST_ALL ? 1 : 23;

test('allocations fail in turn, while weights are read and models load and run, and all goes on [R06, R07]', (t) => {
  const { status, signal, stdout } = spawnSync(program, [stride], { encoding: 'utf8' });
  for (const line of stdout.trim().split('\n')) t.diagnostic(line);
  assert.deepEqual([status, signal], [0, null], stdout);
});
