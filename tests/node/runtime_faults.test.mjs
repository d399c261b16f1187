// What may happen to a model as it runs: memory that does not grow, a trap, a caller that re-enters, a process that ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setImmediate as nextTask } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { createModel } from 'wimm';

import { images, rejects, safetensors, weightsOf } from './support.mjs';

/** How often the memory may still grow. */
let growths = Infinity;
const { grow } = WebAssembly.Memory.prototype;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (growths-- <= 0) throw new RangeError('refused');
  return grow.call(this, pages);
};

/** Whether what the module calls traps. */
let trapping = false;
const { instantiate } = WebAssembly;
const trapped = (call) =>
  typeof call !== 'function'
    ? call
    : (...parameters) => {
        if (trapping) throw new WebAssembly.RuntimeError('unreachable');
        return call(...parameters);
      };
const mapValues = (object, map) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
WebAssembly.instantiate = (source, imports) =>
  instantiate(
    source,
    mapValues(imports, (module) => mapValues(module, trapped)),
  );

const create = (options) => createModel('resnet10t', { threads: 1, ...options });
const kept = await create();
after(() => kept.dispose());
const x = images(3);
/** Bytes: a block of the allocator is somewhat longer where the rest of a free one is too small for another. */
const noise = 1024;
const expected = await kept.forward(x);

test('wherever memory cannot grow in a load or a call, that is said, and all goes on [R06, R07, R08]', async () => {
  const weights = safetensors(weightsOf(kept));
  const large = { data: new Float32Array(3 * 1024 * 1024), shape: [1, 3, 1024, 1024] };
  const settled = async () => {
    assert.deepEqual(await kept.forward(x), expected);
    return (await kept.memory()).used;
  };
  const loaded = [];
  const stages = { load: async () => loaded.push(await create({ weights })), run: () => kept.forward(large) };
  for (const [stage, run] of Object.entries(stages)) {
    let used;
    let failures = 0;
    for (let done = false; !done;) {
      growths = failures < 3 ? 0 : 1; // so that each attempt comes further than the one before
      try {
        await run();
        done = true;
      } catch (error) {
        growths = Infinity;
        assert.equal(error.code, 'ERR_OUT_OF_MEMORY', `${stage}: ${error.stack}`);
        const after = await settled();
        assert.ok(Math.abs(after - (used ??= after)) < noise, `${stage}: ${after} bytes, ${used} before`);
        failures++;
      }
      growths = Infinity;
    }
    assert.ok(failures >= 3, `${stage} failed ${failures} times`);
  }
  loaded.forEach((model) => model.dispose());
});

test('a module that traps is lost with its models, and another takes its place [R09]', async () => {
  const [first, second] = [
    await create({ worker: false, simd: 'simd' }),
    await create({ worker: false, simd: 'simd' }),
  ];
  await first.forward(x);
  trapping = true;
  const { cause } = await rejects(first.forward(x), 'ERR_RUNTIME_CRASHED');
  trapping = false;
  assert.ok(cause instanceof Error);
  for (const model of [first, second]) {
    await rejects(model.forward(x), 'ERR_RUNTIME_CRASHED');
    model.dispose();
  }
  const next = await create({ simd: 'simd' });
  assert.deepEqual((await next.forward(x)).shape, [1, 1000]);
  next.dispose();
  assert.deepEqual(await kept.forward(x), expected); // of another module
});

test('a call may come from within any other [R04, I11]', async () => {
  const nested = [];
  const again = () => nested.push(kept.forward(x));
  const other = await create({ onProgress: again });
  const controller = new AbortController();
  controller.signal.addEventListener('abort', again);
  const stopped = kept.forward(x, { signal: controller.signal });
  controller.abort();
  await rejects(stopped, 'ERR_ABORTED');
  const reading = (getter) => ({
    data: x.data,
    get shape() {
      getter();
      return x.shape;
    },
  });
  assert.deepEqual(await kept.forward(reading(again)), expected);
  assert.ok(nested.length > 2);
  for (const result of await Promise.all(nested)) assert.deepEqual(result, expected);
  await rejects(other.forward(reading(() => other.dispose())), 'ERR_DISPOSED');
});

test('a buffer that shrinks while its shape is read is refused [I10]', async () => {
  for (const [size, code] of [
    [0, 'ERR_INPUT_DETACHED'],
    [4, 'ERR_INPUT_SHAPE'],
  ]) {
    const buffer = new ArrayBuffer(x.data.byteLength, { maxByteLength: x.data.byteLength });
    const data = new Float32Array(buffer); // its length follows the buffer's
    const input = {
      data,
      get shape() {
        buffer.resize(size);
        return x.shape;
      },
    };
    await rejects(kept.forward(input), code);
  }
  assert.deepEqual(await kept.forward(x), expected);
});

test('pixels that are no numbers are computed with, and spoil their own call alone [I08]', async () => {
  for (const value of [NaN, Infinity]) {
    const { data } = await kept.forward({ data: x.data.with(7, value), shape: x.shape });
    assert.equal(data.length, 1000);
    if (Number.isNaN(value)) assert.ok(data.every(Number.isNaN)); // as timm's, not numbers that look right
  }
  assert.deepEqual(await kept.forward(x), expected);
});

test('a model that is forgotten is freed [R02]', { timeout: 120_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const { used } = await kept.memory();
  const forget = async () => void (await (await create()).forward(x));
  for (let i = 0; i < 5; i++) await forget();
  assert.ok((await kept.memory()).used > used);
  while ((await kept.memory()).used > used + noise) {
    collect();
    await nextTask();
  }
});

test('a copy of a model is no model, and the model goes on [R20]', async () => {
  let copy;
  try {
    copy = structuredClone(kept);
  } catch ({ name }) {
    assert.equal(name, 'DataCloneError');
  }
  assert.equal(copy?.forward, undefined);
  assert.deepEqual(await kept.forward(x), expected);
});

test('a process ends by a signal, and by its own will, while a worker runs [R22]', { timeout: 120_000 }, async () => {
  const program = `
    import { createModel } from 'wimm';
    const model = await createModel('resnet50', { worker: true, threads: 2 });
    const x = { data: new Float32Array(8 * 3 * 224 * 224), shape: [8, 3, 224, 224] };
    model.forward(x);
    process.once('message', () => process.exit(7));
    process.send('running');`;
  for (const [end, expected] of [
    [(child) => child.kill('SIGINT'), [null, 'SIGINT']],
    [(child) => child.send('exit'), [7, null]],
  ]) {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'];
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio });
    await once(child, 'message');
    end(child);
    assert.deepEqual(await once(child, 'close'), expected);
  }
});
