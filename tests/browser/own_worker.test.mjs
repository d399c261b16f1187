// In a module worker of the page's own, models run in that worker, or in one below it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { images } from '../node/support.mjs';
import { launch, open, site, skip } from './support.mjs';

const script = `
  import { capabilities, createModel, listModels } from '/wimm/index.js';
  onmessage = async ({ data: { x, worker, image } }) => {
    try {
      const model = await createModel('resnet10t', { worker });
      const { data } = await model.forward(x);
      const [{ probability }] = await model.classify(image);
      model.dispose();
      postMessage({ data, probability, backend: model.backend, listed: listModels('resnet10t').length });
    } catch ({ code, message }) {
      postMessage({ code, message });
    }
  };
`;

const browser = await launch();
const x = images(3);
const model = await createModel('resnet10t', { threads: 1 });
const { data: expected } = await model.forward(x);
model.dispose();

for (const isolated of [false, true]) {
  for (const worker of [undefined, true]) {
    const where = `${isolated ? 'with' : 'without'} threads, ${worker ? 'in a worker below' : 'in the worker itself'}`;
    test(`a page's own worker runs a model ${where}`, { skip }, async () => {
      const tab = await open(browser, await site({ '/own.js': script }, { isolated }));
      const result = await tab.evaluate(
        ({ data, shape, worker }) =>
          new Promise((resolve) => {
            const own = new Worker('/own.js', { type: 'module' });
            own.onmessage = ({ data: { data, ...rest } }) => resolve({ data: [...(data ?? [])], ...rest });
            own.postMessage({ x: { data: new Float32Array(data), shape }, worker, image: new ImageData(8, 8) });
          }),
        { data: [...x.data], shape: x.shape, worker },
      );
      await tab.close();
      assert.equal(result.message, undefined);
      assert.equal(result.backend.worker, worker ?? false);
      assert.equal(result.backend.threads > 1, isolated);
      assert.equal(result.listed, 1);
      assert.ok(result.probability > 0);
      const largest = Math.max(...expected.map(Math.abs));
      // Builds round in different ways.
      result.data.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= 1e-4 * largest));
    });
  }
}
