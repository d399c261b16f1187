// In a page, layers are made of weights while these arrive.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { createModel } from 'wimm';

import { images, safetensors, weightsOf } from '../node/support.mjs';
import { launch, open, site, skip } from './support.mjs';

const browser = await launch();
const input = images(3);
let weights, expected;

before(async () => {
  const made = await createModel('resnet10t', { threads: 1 });
  weights = weightsOf(made);
  made.dispose();
  const reference = await createModel('resnet10t', { weights: safetensors(weights), threads: 1 });
  expected = (await reference.forward(images(3))).data;
  reference.dispose();
});

const half = ({ length }) => length >> 1;

/** Milliseconds in which layers that are there are run on zeros. */
const longWait = 300;

/** A site whose weights come up to `held`, and the rest once `send` is called. */
async function slow(file, held) {
  const state = { requests: 0 };
  const sent = new Promise((resolve) => (state.send = resolve));
  state.address = await site({
    '/weights': async (_, response) => {
      state.requests++;
      state.closed = once(response, 'close');
      response.writeHead(200, { 'content-length': file.length });
      response.write(file.subarray(0, held));
      await sent;
      response.end(file.subarray(held));
    },
  });
  return state;
}

/** The logits of a page's model, or the error; `see` gets the bytes as they come. */
const run = (tab, options = {}) =>
  tab.evaluate(
    async ([options, data, shape]) => {
      const stop = new AbortController();
      window.stop = () => stop.abort();
      const onProgress = ({ stage, loaded }) => stage === 'download' && window.see?.(loaded);
      try {
        const all = { weights: '/weights', onProgress, signal: stop.signal, ...options };
        const model = await window.wimm.createModel('resnet10t', all);
        const result = await model.forward({ data: new Float32Array(data), shape });
        model.dispose();
        return [...result.data];
      } catch (error) {
        return error.code ?? String(error);
      }
    },
    [options, [...input.data], input.shape],
  );

const near = (actual) => actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-3));

test('the model is there after the last byte, and is cached', { skip }, async () => {
  const file = safetensors(weights);
  const server = await slow(file, half(file));
  const tab = await open(browser, server.address);
  await tab.exposeFunction('see', (loaded) => loaded >= half(file) && void setTimeout(longWait).then(server.send));
  near(await run(tab));
  await tab.evaluate(() => window.kept('/weights'));
  near(await run(tab));
  assert.equal(server.requests, 1);
  await tab.close();
});

test('what is wrong with a tensor ends the download that still brings the others', { skip }, async () => {
  const damaged = new Map(weights);
  const { shape, data } = damaged.get('layer1.0.conv1.weight');
  damaged.set('layer1.0.conv1.weight', { shape, data: data.map((value, i) => (i === 7 ? NaN : value)) });
  const file = safetensors(damaged);
  const server = await slow(file, half(file)); // and the rest never
  const tab = await open(browser, server.address);
  assert.equal(await run(tab, { checkFinite: true }), 'ERR_WEIGHTS_NONFINITE');
  await server.closed;
  server.send();
  await tab.close();
});

test('a signal stops it between two pieces, and another load begins anew', { skip }, async () => {
  const file = safetensors(weights);
  const server = await slow(file, half(file));
  const tab = await open(browser, server.address);
  const seen = new Promise((resolve) => tab.exposeFunction('see', (loaded) => loaded >= half(file) && resolve()));
  const stopped = run(tab);
  await seen;
  await setTimeout(longWait);
  await tab.evaluate(() => window.stop());
  assert.equal(await stopped, 'ERR_ABORTED');
  await server.closed;
  server.send();
  near(await run(tab));
  assert.equal(server.requests, 2);
  await tab.close();
});

test(
  'an entry of the cache whose damage makes no other error is found, and downloaded again [K02]',
  { skip },
  async () => {
    const file = safetensors(weights);
    const server = await slow(file, file.length);
    server.send();
    const tab = await open(browser, server.address);
    const warnings = [];
    tab.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
    near(await run(tab));
    await tab.evaluate(async () => {
      await window.kept('/weights');
      await window.damage(3);
    });
    near(await run(tab));
    assert.equal(server.requests, 2);
    assert.match(warnings.join(), /ERR_CACHE_CORRUPT/);
    await tab.close();
  },
);
