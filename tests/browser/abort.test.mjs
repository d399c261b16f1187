// In a page, a signal stops a load or a call in each of its stages, and leaves nothing behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { safetensors, weightsOf } from '../node/support.mjs';
import { launch, open, site, skip } from './support.mjs';

const browser = await launch();
const made = await createModel('resnet18', { threads: 1 });
const weights = safetensors(weightsOf(made));
made.dispose();

/** The weights whole, or half of them and no end. */
const content = {
  '/whole': (_, response) => response.writeHead(200, { 'content-length': weights.length }).end(weights),
  '/half': (_, response) => {
    response.writeHead(200, { 'content-length': weights.length });
    response.write(weights.subarray(0, weights.length / 2));
  },
};

/** Runs in the page: what each stage that is stopped rejects with, and what it leaves. */
async function stopEach(worker) {
  const { createModel } = window.wimm;
  const x = { data: new Float32Array(4 * 3 * 224 * 224).map((_, i) => Math.sin(i)), shape: [4, 3, 224, 224] };
  const kept = await createModel('resnet18', { worker });
  const expected = await kept.forward(x);

  const load = (weights, reached) => async () => {
    const controller = new AbortController();
    const onProgress = (progress) => reached(progress) && controller.abort();
    return createModel('resnet18', { weights, worker, signal: controller.signal, onProgress });
  };
  const call = (before) => async () => {
    const controller = new AbortController();
    const first = before && kept.forward(x);
    const stopped = kept.forward(x, { signal: controller.signal });
    stopped.catch(() => {});
    if (!before) await new Promise((resolve) => setTimeout(resolve)); // behind what has started it
    controller.abort();
    await first;
    return stopped;
  };
  const stages = {
    request: load('/whole', ({ stage }) => stage === 'compile'),
    download: load('/half', ({ stage, loaded }) => stage === 'download' && loaded > 0),
    downloaded: load('/whole', ({ stage, loaded, total }) => stage === 'download' && loaded === total),
    load: load('/whole', ({ stage, loaded, total }) => stage === 'load' && loaded > 0 && loaded < total),
    waiting: call(true),
    running: call(false),
  };
  const settled = async () => {
    const { data } = await kept.forward(x);
    await kept.memory(); // answered once all before it has ended; what they held is freed thereafter
    return { same: data.every((value, i) => value === expected.data[i]), used: (await kept.memory()).used };
  };
  const { used } = await settled();
  const results = {};
  for (const [stage, run] of Object.entries(stages)) {
    const rejected = await run().then(
      () => 'no error',
      ({ name, code }) => `${name} ${code}`,
    );
    const after = await settled();
    const entries = await window.entries();
    results[stage] = { rejected, same: after.same, more: after.used - used, entries };
  }
  const next = await createModel('resnet18', { weights: '/whole', worker });
  const { shape } = await next.forward(x);
  next.dispose();
  kept.dispose();
  return { results, shape };
}

for (const isolated of [false, true]) {
  for (const worker of [true, false]) {
    const where = `${isolated ? 'with' : 'without'} threads, ${worker ? 'in a worker' : 'in the page'}`;
    test(`${where}, a signal stops each stage [N11]`, { skip }, async () => {
      const tab = await open(browser, await site(content, { isolated }));
      const { results, shape } = await tab.evaluate(stopEach, worker);
      await tab.close();
      for (const [stage, { rejected, same, more, entries }] of Object.entries(results)) {
        assert.equal(rejected, 'AbortError ERR_ABORTED', stage);
        assert.ok(same, `${stage}: the next call differs`);
        assert.equal(more, 0, `${stage}: bytes more`);
        assert.deepEqual(entries, [], stage);
      }
      assert.deepEqual(shape, [4, 1000]);
    });
  }
}
