// The command line: what it prints, and how it ends.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import sharp from 'sharp';
import { createModel, listModels } from 'wimm';

import { safetensors, temporaryFolder, weightsOf } from './support.mjs';

const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

function wimm(...args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
  });
}

test('list prints the names of models', async () => {
  const { status, stdout, stderr } = await wimm('list', 'resnet*', '--pretrained');
  assert.equal(status, 0);
  assert.equal(stderr, '');
  assert.deepEqual(stdout.trim().split('\n'), listModels('resnet*', { pretrained: true }));
  assert.deepEqual(await wimm('list', 'nothing*'), { status: 0, stdout: '', stderr: '' });
});

test('info prints the cfg as JSON', async () => {
  const { status, stdout } = await wimm('info', 'resnet34');
  assert.equal(status, 0);
  const cfg = JSON.parse(stdout);
  assert.equal(cfg.firstConv, 'conv1');
  assert.ok(cfg.tags.includes(cfg.tag));
});

test('classify prints the classes of images', async () => {
  const folder = temporaryFolder();
  const model = await createModel('resnet10t', { threads: 1 });
  writeFileSync(join(folder, 'w.safetensors'), safetensors(weightsOf(model)));
  model.dispose();
  const image = join(folder, 'image.png');
  await sharp({ create: { width: 20, height: 20, channels: 3, background: 'red' } }).toFile(image);
  const args = ['classify', image, image, '--model', 'resnet10t', '--weights', join(folder, 'w.safetensors')];
  const text = await wimm(...args, '--top-k', '3', '--in-chans', '1');
  assert.equal(text.status, 0, text.stderr);
  assert.match(text.stdout, /^.*image\.png\n( {2}[01]\.\d{4} {2}\S.*\n){3}/);
  const json = await wimm(...args, '--json');
  const results = JSON.parse(json.stdout);
  assert.equal(results.length, 2);
  assert.equal(results[0].classes.length, 5);
});

test('bench prints latency, speed and memory', async () => {
  const { status, stdout, stderr } = await wimm('bench', 'resnet10t', '--threads', '1');
  assert.equal(status, 0, stderr);
  for (const line of [/median \d.* ms, p10 \d.* ms/, /\d GFLOP\/s/, /peak memory +\d.* MB/]) assert.match(stdout, line);
});

test('failures end with 1, wrong usage with 2, and both speak on stderr', async () => {
  for (const [status, ...args] of [
    [1, 'info', 'no_such_model'],
    [1, 'classify', 'absent.png', '--model', 'resnet10t', '--weights', 'absent.pth'],
    [2],
    [2, 'nonsense'],
    [2, 'list', '--nonsense'],
    [2, 'info'],
    [2, 'classify'],
    [2, 'classify', 'x.png', '--top-k', 'many'],
  ]) {
    const result = await wimm(...args);
    assert.equal(result.status, status, `${args}: ${result.stderr}`);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, /^wimm: /);
  }
  assert.equal((await wimm('--help')).status, 0);
});
