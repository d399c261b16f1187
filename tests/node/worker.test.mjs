// Models in a worker: the same numbers, a free thread, and what happens when a load or the worker itself is stopped.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mock, test } from 'node:test';

import { createModel } from 'wimm';

import { images, rejects } from './support.mjs';

// Workers that the package starts.
const workers = [];
const threads = process.getBuiltinModule('worker_threads');
const { Worker } = threads;
threads.Worker = class extends Worker {
  constructor(...parameters) {
    super(...parameters);
    workers.push(this);
  }
};

const create = (options) => createModel('resnet18', { worker: true, threads: 1, ...options });

test('a worker gives the numbers of its caller’s thread, which it leaves free', async () => {
  const local = await createModel('resnet18', { threads: 1 });
  const remote = await create();
  assert.equal(local.backend.worker, false);
  assert.equal(remote.backend.worker, true);
  assert.deepEqual(remote.parameters(), local.parameters());

  let free = false;
  setTimeout(() => (free = true), 0);
  const x = images(3);
  const output = await remote.forward(x);
  assert.ok(free);
  assert.equal(x.data.length, 3 * 64 * 64); // the caller's own
  assert.deepEqual(output, await local.forward(x));
  const pixels = { data: new Uint8Array(32 * 32 * 3).fill(77), width: 32, height: 32, channels: 3 };
  assert.deepEqual(await remote.classify(pixels), await local.classify(pixels));
  assert.equal((await remote.profile(x)).length, (await local.profile(x)).length);
  await rejects(remote.forward({ data: new Float32Array(12), shape: [1, 3, 2, 2, 1] }), 'ERR_INPUT_SHAPE');

  local.dispose();
  remote.dispose();
  await rejects(remote.forward(x), 'ERR_DISPOSED');
});

test('a load that is stopped leaves nothing in the worker', async () => {
  const kept = await create();
  const { used } = await kept.memory();
  const controller = new AbortController();
  const onProgress = ({ stage, loaded }) => stage === 'load' && loaded > 0 && controller.abort();
  const { name } = await rejects(create({ signal: controller.signal, onProgress }), 'ERR_ABORTED');
  assert.equal(name, 'AbortError');
  await kept.memory(); // answered once the load has ended; the model is freed thereafter
  const after = await kept.memory();
  assert.ok(after.used - used < 1e6, `${after.used - used} bytes more`);
  kept.dispose();
});

test('a worker that dies rejects what was under way, and the next model starts afresh [R11]', async () => {
  const model = await create();
  const pending = [model.forward(images(3, 224)), model.forward(images(3, 224))];
  const failures = Promise.all(pending.map((work) => rejects(work, 'ERR_WORKER_CRASHED')));
  await workers.at(-1).terminate();
  for (const failure of await failures) assert.equal(failure.retryable, true);
  await rejects(model.forward(images(3)), 'ERR_WORKER_CRASHED');
  model.dispose();
  const next = await create();
  assert.deepEqual((await next.forward(images(3))).shape, [1, 1000]);
  next.dispose();
});

test('where no worker can start, one that was asked for is an error', async () => {
  const { Worker: Working } = threads;
  const waiting = setInterval(() => {}, 1000); // an idle worker does not keep the process
  await workers.at(-1).terminate();
  threads.Worker = class {
    constructor() {
      throw new Error('not allowed');
    }
  };
  const { cause } = await rejects(create(), 'ERR_WORKER_CRASHED', /cannot start/);
  assert.equal(cause.message, 'not allowed');
  threads.Worker = Working;
  clearInterval(waiting);
});

test('a worker that fails before its script runs could not start [R11]', async () => {
  const { Worker: Working } = threads;
  await workers.at(-1).terminate();
  threads.Worker = class extends EventEmitter {
    postMessage = () => this.emit('error', new Error('no such file'));
    ref() {}
    unref() {}
    terminate() {}
  };
  await rejects(create(), 'ERR_WORKER_CRASHED', /cannot start here: no such file/);
  threads.Worker = Working;
});

test('a worker whose script never runs is given up [R11]', async () => {
  const { Worker: Working } = threads;
  await workers.at(-1).terminate();
  let asked;
  const begun = new Promise((resolve) => (asked = resolve));
  let ended = false;
  threads.Worker = class extends EventEmitter {
    postMessage = () => asked();
    ref() {}
    unref() {}
    terminate = () => (ended = true);
  };
  mock.timers.enable({ apis: ['setTimeout'] });
  const model = create();
  const failure = rejects(model, 'ERR_WORKER_CRASHED', /does not run/);
  await begun;
  mock.timers.tick(30_000);
  await failure;
  assert.ok(ended);
  mock.timers.reset();
  threads.Worker = Working;
});

test('threads that start but never work are given up', async () => {
  const { Worker: Working } = threads;
  let asked;
  const checked = new Promise((resolve) => (asked = resolve));
  let ended = false;
  threads.Worker = class extends EventEmitter {
    postMessage({ id, method }) {
      if (method === 'start') this.emit('message', { id, value: undefined });
      else asked();
    }
    ref() {}
    unref() {}
    terminate = () => (ended = true);
  };
  mock.timers.enable({ apis: ['setTimeout'] });
  const failure = rejects(create({ threads: 2 }), 'ERR_ENV_NO_THREADS', /do not work/);
  await checked;
  mock.timers.tick(30_000);
  await failure;
  assert.ok(ended);
  mock.timers.reset();
  threads.Worker = Working;
});
