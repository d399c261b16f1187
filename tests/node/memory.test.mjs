// Memory is bounded while a model loads, and comes back when it is disposed of.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { images, rejects, safetensors, temporaryFolder, weightsOf } from './support.mjs';

/** Bytes of the WebAssembly memory that are in use beside those of one tiny model. */
async function measure() {
  const model = await createModel('mobilenetv3_small_050', { threads: 1, numClasses: 1 });
  const { heap, used } = await model.memory();
  model.dispose();
  return { heap, used };
}

test('loading resnet50 and running it takes at most 1.6 times its file', async () => {
  const template = await createModel('resnet50', { threads: 2 }); // an engine of its own
  const path = join(temporaryFolder(), 'resnet50.safetensors');
  const bytes = safetensors(weightsOf(template));
  writeFileSync(path, bytes);
  template.dispose();
  const model = await createModel('resnet50', { weights: path, threads: 1 });
  await model.forward(images(3, 224));
  const { heap } = await model.memory();
  model.dispose();
  rmSync(path);
  const ratio = heap / bytes.length;
  assert.ok(ratio <= 1.6, `${ratio.toFixed(2)} times the file`);
});

test('200 models created, run and disposed of leave memory as it was [R05]', async () => {
  const shapes = [32, 48, 64];
  let settled;
  for (let cycle = 0; cycle < 200; cycle++) {
    const model = await createModel('mobilenetv3_small_050', { threads: 1, inChans: 1 + (cycle % 4) });
    await model.forward(images(model.inChans, shapes[cycle % shapes.length]));
    model.dispose();
    if (cycle === 19) settled = await measure();
  }
  assert.deepEqual(await measure(), settled);
});

test('loads that fail leave memory as it was', async () => {
  const template = await createModel('resnet10t', { threads: 1 });
  const weights = weightsOf(template);
  template.dispose();
  const bytes = safetensors(weights);
  weights.delete('fc.bias');
  const mismatched = safetensors(weights);
  const boo = () => {
    throw new Error('boo');
  };
  const fail = async () => {
    await rejects(createModel('resnet10t', { weights: mismatched, threads: 1 }), 'ERR_STATE_DICT_MISMATCH');
    await rejects(createModel('resnet10t', { weights: bytes.subarray(0, -4), threads: 1 }), [
      'ERR_FORMAT_TRUNCATED',
      'ERR_FORMAT_CORRUPT',
    ]);
    await rejects(
      createModel('resnet10t', { weights: bytes, threads: 1, onProgress: ({ stage }) => stage === 'load' && boo() }),
      'ERR_INVALID_ARGUMENT',
    );
  };
  await fail();
  const settled = await measure();
  for (let i = 0; i < 20; i++) await fail();
  assert.deepEqual(await measure(), settled);
});

test('a model that no memory can hold is refused, and the next one loads [R08, R24]', async () => {
  const x = { data: new Float32Array(3 * 8192 * 8192), shape: [1, 3, 8192, 8192] };
  const model = await createModel('resnet50', { threads: 1 });
  await rejects(model.forward(x), ['ERR_OUT_OF_MEMORY', 'ERR_LIMIT_EXCEEDED']);
  assert.deepEqual((await model.forward(images(3))).shape, [1, 1000]);
  model.dispose();
});
