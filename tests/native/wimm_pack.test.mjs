// wimm-pack that is killed, or runs out of room, leaves a whole pack or none, and nothing else that stays.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { safetensors, temporaryFolder, weightsOf } from '../node/support.mjs';

const program = join(import.meta.dirname, '../../build/native/weights-tools/wimm-pack');
const model = await createModel('resnet18', { threads: 1 });
const weights = safetensors(weightsOf(model));
model.dispose();

function prepare() {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'in.safetensors'), weights);
  const output = join(folder, 'out.wimm');
  return { folder, output, convert: ['convert', '--model', 'resnet18', join(folder, 'in.safetensors'), '-o', output] };
}

const run = (...args) => spawnSync(program, args, { encoding: 'utf8' });

test('killed at any time [F16]', async () => {
  const { folder, output, convert } = prepare();
  const start = performance.now();
  assert.equal(run(...convert).status, 0);
  const whole = performance.now() - start;
  const kills = 40;
  let killed = 0;
  for (let i = 0; i < kills; i++) {
    const child = spawn(program, convert, { stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), (whole * i) / kills);
    const signal = await new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
    clearTimeout(timer);
    if (signal === 'SIGKILL') killed++;
    assert.equal(run('verify', output).status, 0);
  }
  assert.ok(killed > 0);
  assert.equal(run(...convert).status, 0);
  assert.deepEqual(readdirSync(folder).sort(), ['in.safetensors', 'out.wimm']);
});

test('without room for the pack [F16]', () => {
  const { folder, output, convert } = prepare();
  const { status, stderr } = spawnSync('sh', ['-c', 'ulimit -f 1000; exec "$0" "$@"', program, ...convert], {
    encoding: 'utf8',
  });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /cannot write .*out\.wimm/);
  assert.ok(!existsSync(output));
  assert.deepEqual(readdirSync(folder), ['in.safetensors']);
});
