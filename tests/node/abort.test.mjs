// A signal stops every kind of call in every stage, at once, and leaves nothing behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers';

import { createModel, loadStateDict } from 'wimm';

import { images, rejects, safetensors, weightsOf } from './support.mjs';

const image = { data: new Uint8Array(32 * 32 * 3).fill(99), width: 32, height: 32, channels: 3 };

/** A signal that is aborted after so many milliseconds. */
function abortAfter(milliseconds) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('enough')), milliseconds);
  return controller.signal;
}

for (const worker of [false, true]) {
  const where = worker ? 'in a worker' : 'in this thread';
  const create = (options) => createModel('resnet18', { worker, threads: 1, ...options });

  test(`${where}, every call can be stopped, and the next is right [N11]`, async () => {
    const model = await create();
    const x = images(3, 224);
    const features = await model.forwardFeatures(x);
    const calls = {
      forward: (options) => model.forward(x, options),
      forwardFeatures: (options) => model.forwardFeatures(x, options),
      forwardHead: (options) => model.forwardHead(features, options),
      classify: (options) => model.classify([image, image, image], options),
      embed: (options) => model.embed(image, options),
      preprocess: (options) => model.preprocess(image, options),
      profile: (options) => model.profile(x, options),
    };
    const expected = await model.forward(x);
    for (const [name, call] of Object.entries(calls)) {
      const stopped = AbortSignal.abort(new Error('enough'));
      assert.equal((await rejects(call({ signal: stopped }), 'ERR_ABORTED')).cause.message, 'enough', name);
      const running = new AbortController();
      const result = call({ signal: running.signal });
      running.abort();
      assert.equal((await rejects(result, 'ERR_ABORTED')).name, 'AbortError', name);
      await rejects(call({ signal: 'no signal' }), 'ERR_INVALID_ARGUMENT', /signal/);
      assert.deepEqual(await model.forward(x), expected, name);
    }
    model.dispose();
  });

  test(`${where}, a signal stops its own call alone`, async () => {
    const model = await create();
    const x = images(3, 224);
    const expected = await model.forward(x);
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, (_, i) => model.forward(x, i % 2 ? { signal: abortAfter(i) } : {})),
    );
    results.forEach(({ value, reason }, i) => {
      if (i % 2) assert.equal(reason.code, 'ERR_ABORTED');
      else assert.deepEqual(value, expected);
    });
    model.dispose();
  });

  test(`${where}, loads and calls stopped at any point leave memory as it was [N11]`, async () => {
    const kept = await create();
    const weights = safetensors(weightsOf(kept));
    const x = images(3, 224);
    const expected = await kept.forward(x);
    const stages = [
      (options) => create({ ...options, weights }).then((model) => model.dispose()),
      (options) => loadStateDict(weights, options),
      (options) => kept.forward(x, options),
    ];
    const settle = async () => {
      assert.deepEqual(await kept.forward(x), expected);
      return kept.memory();
    };
    const times = [];
    for (const stage of stages) {
      const start = performance.now();
      await stage({});
      times.push(performance.now() - start);
    }
    let settled;
    let stopped = 0;
    for (let i = 0; i < 200; i++) {
      const stage = i % stages.length;
      await stages[stage]({ signal: abortAfter(((i % 40) / 40) * times[stage]) }).catch(({ code }) => {
        assert.equal(code, 'ERR_ABORTED');
        stopped++;
      });
      if (i === 59) settled = await settle();
    }
    assert.ok(stopped > 0);
    assert.deepEqual(await settle(), settled);
    kept.dispose();
  });

  test(`${where}, dispose stops what is under way and what waits [R01]`, async () => {
    const model = await create();
    const x = images(3, 224);
    const pending = [model.forward(x), model.forward(x), model.classify(image), model.profile(x)];
    model.dispose();
    await Promise.all(pending.map((call) => rejects(call, 'ERR_DISPOSED')));
  });
}

test('a signal stops a load that still compiles', async () => {
  const controller = new AbortController();
  const load = createModel('resnet18', { worker: true, threads: 3, signal: controller.signal });
  controller.abort();
  await rejects(load, 'ERR_ABORTED');
});

test('while a model runs in this thread, its other tasks have their turn', async () => {
  const model = await createModel('resnet18', { threads: 1, worker: false });
  let turns = 0;
  let running = true;
  const count = () => {
    turns++;
    if (running) setImmediate(count);
  };
  count();
  await model.forward(images(3, 448));
  running = false;
  assert.ok(turns > 2, `${turns} turns`);
  model.dispose();
});
