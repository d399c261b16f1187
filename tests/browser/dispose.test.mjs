// In a page, a model that was disposed of refuses every call, and its memory is free.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, site, skip } from './support.mjs';

const browser = await launch();

for (const isolated of [false, true]) {
  for (const worker of [true, false]) {
    const where = `${isolated ? 'with' : 'without'} threads, ${worker ? 'in a worker' : 'in the page'}`;
    test(`${where}, dispose stops calls and frees memory [R01, R05]`, { skip }, async () => {
      const tab = await open(browser, await site({}, { isolated }));
      const { used, codes, pending } = await tab.evaluate(async (worker) => {
        const create = () => window.wimm.createModel('resnet18', { worker });
        const x = { data: new Float32Array(3 * 224 * 224).fill(0.5), shape: [1, 3, 224, 224] };
        const image = new ImageData(32, 32);
        const kept = await create();
        await kept.forward(x);
        const used = [];
        let codes, pending;
        for (let i = 0; i < 4; i++) {
          const model = await create();
          const features = await model.forwardFeatures(x);
          const calls = () =>
            [
              () => model.forward(x),
              () => model.forwardFeatures(x),
              () => model.forwardHead(features),
              () => model.classify(image),
              () => model.embed(image),
              () => model.preprocess(image),
              () => model.profile(x),
              () => model.memory(),
            ].map((call) => call().catch((error) => error.code));
          const under = calls();
          if (i % 2) model.dispose();
          else model[Symbol.dispose]();
          model.dispose();
          pending = await Promise.all(under);
          codes = await Promise.all(calls());
          await kept.memory(); // answered once all before it has ended; the model is freed thereafter
          used.push((await kept.memory()).used);
        }
        kept.dispose();
        return { used, codes, pending };
      }, worker);
      assert.deepEqual([...new Set(codes)], ['ERR_DISPOSED']);
      assert.deepEqual([...new Set(pending)], ['ERR_DISPOSED']);
      assert.equal(new Set(used.slice(1)).size, 1, `bytes in use: ${used}`);
      await tab.close();
    });
  }
}
