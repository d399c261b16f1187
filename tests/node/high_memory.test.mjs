// Where memory is beyond 2 GiB, whose addresses are negative as 32-bit integers with a sign, results are what they are below.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createModel, loadStateDict } from 'wimm';

import { images, safetensors } from './support.mjs';

test(
  'beyond 2 GiB, models load and run as below, and their memory comes back [R23]',
  { timeout: 600_000 },
  async () => {
    const numClasses = 200_000; // 410 MB of weights
    const models = [];
    const create = async () => {
      models.push(await createModel('resnet10t', { threads: 1, numClasses }));
      return models.at(-1);
    };
    const x = images(3);
    const low = await create();
    const expected = await low.forward(x);
    while ((await low.memory()).used < 2 ** 31) await create();
    const high = await create();
    assert.deepEqual(await high.forward(x), expected);
    assert.deepEqual(await low.forward(x), expected);

    const data = Float32Array.from({ length: 1 << 16 }, Math.sin);
    const read = await loadStateDict(safetensors(new Map([['weight', { shape: [data.length], data }]])));
    assert.deepEqual(read.get('weight').data, data);
    assert.equal(high.parameters().size, low.parameters().size);

    const { heap } = await high.memory();
    assert.ok(heap > 2 ** 31 && heap < 2 ** 32, `${heap} bytes`);
    for (const model of models.splice(1)) model.dispose();
    const { used } = await low.memory();
    assert.ok(used < 2 ** 30, `${used} bytes`);
    low.dispose();
  },
);
