// Every architecture gives timm's numbers, natively (goldens/*.json, written by tests/parity/make_goldens.py).
// Models beyond 30 million parameters, but for the smallest of each module, only with WIMM_TEST_ALL=1 (npm run test:all).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const program = join(import.meta.dirname, '../../build/native/tests/wimm_parity');
const limit = process.env.WIMM_TEST_ALL ? [] : ['--up-to', '3e7'];

async function runShard(t, shard, shards) {
  const child = spawn(program, ['--shard', `${shard}/${shards}`, ...limit], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  let failed = 0;
  for await (const line of createInterface(child.stdout)) {
    const [, outcome, name, detail] = line.match(/^(ok|FAIL) +(.*): (.*)$/) ?? [];
    if (outcome === 'FAIL') failed++;
    if (outcome) await t.test(name, () => assert.equal(outcome, 'ok', detail));
  }
  const status = await ended;
  if (failed === 0) assert.equal(status, 0, 'wimm_parity ended early');
}

test('parity with timm, natively', async (t) => {
  const shards = Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: shards }, (_, shard) => runShard(t, shard, shards)));
});
