// In a page, the worker's end rejects what was under way, and the next model starts another.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, site, skip } from './support.mjs';

const browser = await launch();

for (const isolated of [false, true]) {
  test(`a worker that ends is replaced, ${isolated ? 'with' : 'without'} threads [R11]`, { skip }, async () => {
    const tab = await open(browser, await site({}, { isolated }));
    await tab.evaluate(async () => {
      const { createModel } = window.wimm;
      const x = { data: new Float32Array(4 * 3 * 224 * 224).fill(0.5), shape: [4, 3, 224, 224] };
      const told = ({ code, retryable }) => ({ code, retryable });
      const model = await createModel('resnet18');
      window.state = {
        model,
        x,
        told,
        pending: [model.forward(x), model.classify(new ImageData(32, 32)), createModel('resnet50')].map((work) =>
          work.then(() => 'no error', told),
        ),
      };
    });
    const worker = tab.workers().find((worker) => worker.url().endsWith('/worker.js'));
    await worker.evaluate(() => close());
    const { pending, later, shape, same } = await tab.evaluate(async () => {
      const { model, x, told, pending } = window.state;
      const ended = await Promise.all(pending);
      const later = await model.forward(x).catch(told);
      model.dispose();
      const next = await window.wimm.createModel('resnet18');
      const { shape } = await next.forward(x);
      return { pending: ended, later, shape, same: next.backend.variant === model.backend.variant };
    });
    const crashed = { code: 'ERR_WORKER_CRASHED', retryable: true };
    assert.deepEqual(pending, [crashed, crashed, crashed]);
    assert.deepEqual(later, crashed);
    assert.deepEqual(shape, [4, 1000]);
    assert.ok(same);
    await tab.close();
  });
}
