// What the platform lacks is said, and a module that stopped is replaced.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { capabilities, configure, createModel } from 'wimm';

import { importSource } from './import_source.mjs';
import { images, rejects } from './support.mjs';

/** What `createModel` and `capabilities` say in a process that has first run `setup`. */
function without(setup, options = {}) {
  const program = `${setup}
    const { capabilities, createModel } = await import('wimm');
    const code = await createModel('resnet10t', ${JSON.stringify(options)}).then(() => 'created', ({ code }) => code);
    console.log(JSON.stringify({ code, ...(await capabilities()) }));`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }));
}

test('without WebAssembly [R15]', () => {
  const { code, variant, reasons } = without('delete globalThis.WebAssembly;');
  assert.equal(code, 'ERR_ENV_NO_WASM');
  assert.equal(variant, undefined);
  assert.match(reasons[0], /no WebAssembly/);
});

test('without SIMD [R15]', () => {
  const { code, simd } = without('WebAssembly.validate = () => false;');
  assert.equal(code, 'ERR_ENV_NO_SIMD');
  assert.equal(simd, false);
});

test('without shared memory, one thread runs, and more are refused [R14]', () => {
  const setup = `
    const { validate } = WebAssembly;
    const threads = Uint8Array.of(5, 4, 1, 3, 1, 1).join();
    WebAssembly.validate = (bytes) => !new Uint8Array(bytes.buffer ?? bytes).join().includes(threads) && validate(bytes);`;
  const { code, threads, variant, reasons } = without(setup);
  assert.equal(code, 'created');
  assert.equal(threads, false);
  assert.doesNotMatch(variant, /threads/);
  assert.match(reasons.at(-1), /threads/);
  assert.equal(without(setup, { threads: 2 }).code, 'ERR_ENV_NO_THREADS');
});

test('without relaxed SIMD, plain SIMD runs, and relaxed is refused [R15]', () => {
  const setup = `
    const { validate } = WebAssembly;
    const relaxed = Uint8Array.of(253, 128, 2).join();
    WebAssembly.validate = (bytes) => !new Uint8Array(bytes.buffer ?? bytes).join().includes(relaxed) && validate(bytes);`;
  const { code, relaxedSimd, variant, reasons } = without(setup, { simd: 'simd' });
  assert.equal(code, 'created');
  assert.equal(relaxedSimd, false);
  assert.match(variant, /^simd/);
  assert.match(reasons[0], /no relaxed SIMD/);
  assert.equal(without(setup, { simd: 'relaxed-simd' }).code, 'ERR_ENV_NO_SIMD');
});

test('plain SIMD runs where it is chosen, by an option or by default', async () => {
  const { variant, relaxedSimd } = await capabilities();
  for (const threads of [1, 2]) {
    const plain = await createModel('resnet10t', { simd: 'simd', threads });
    const { simd, variant } = plain.backend;
    assert.deepEqual({ simd, variant }, { simd: 'simd', variant: threads === 1 ? 'simd' : 'simd-threads' });
    assert.deepEqual((await plain.forward(images(3))).shape, [1, 1000]);
    plain.dispose();
  }
  configure({ simd: 'simd' });
  assert.equal((await capabilities()).variant, 'simd-threads');
  if (!relaxedSimd) return;
  configure({ simd: 'relaxed-simd' });
  assert.equal((await capabilities()).variant, variant);
});

test('capabilities say why a faster build is not taken', async () => {
  const { simd, threads, isolated, relaxedSimd, reasons } = await capabilities();
  assert.deepEqual({ simd, threads, isolated }, { simd: true, threads: true, isolated: true });
  assert.equal(reasons.length, relaxedSimd ? 0 : 1);
});

test('files that are not where they should be are an error, and may be put right [R16]', async () => {
  configure({ wasm: 'file:///nowhere/' });
  const error = await rejects(createModel('resnet10t', { threads: 1 }), 'ERR_WASM_LOAD', /configure\(\{ wasm \}\)/);
  assert.match(error.details.url, /^file:\/\/\/nowhere\/wimm-.*\.wasm$/);
  configure({ wasm: new URL('../../dist/', import.meta.url) });
  const model = await createModel('resnet10t', { threads: 1 });
  assert.deepEqual((await model.forward(images(3))).shape, [1, 1000]);
  model.dispose();
});

test('a module that stopped refuses every call from then on, and says so to its owner [R09]', async () => {
  const { LocalEngine } = await importSource(['engine/local.ts', 'errors.ts']);
  let crashes = 0;
  const module = {
    loadModel() {
      throw new WebAssembly.RuntimeError('unreachable');
    },
    preprocess: () => ({ value: { data: new Float32Array(3), shape: [3, 1, 1] } }),
  };
  const engine = new LocalEngine(module, { variant: 'simd', simd: 'simd', threads: 1 }, () => crashes++);
  const pixel = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 };
  assert.deepEqual((await engine.preprocess(pixel, 3)).shape, [1, 3, 1, 1]);
  const { cause } = await rejects(
    engine.createModel({}, () => {}),
    'ERR_RUNTIME_CRASHED',
  );
  assert.equal(cause.message, 'unreachable');
  await rejects(engine.preprocess(pixel, 3), 'ERR_RUNTIME_CRASHED');
  await engine.dispose(1);
  assert.equal(crashes, 1);
});

/** The choice of a build, where starting one is `start(backend)`; a text of JavaScript, which answers as an engine does. */
const choosing = (start) =>
  importSource(['engine/load.ts', 'errors.ts'], {
    'instantiate.js': `
      import { WimmError } from './errors.ts';
      export const tried = (globalThis.tried = []);
      export const startTimeout = 1;
      export const noThreads = (cause) => cause;
      const start = ${start};
      export async function instantiate(backend) {
        tried.push(backend.variant);
        return { backend, close: () => {}, selfCheck: async () => start(backend) };
      }`,
  });

test('a build that computes wrongly is left, and said', async () => {
  const { loadEngine, capabilities: able } = await choosing('({ threads }) => threads === 1');
  const { backend } = await loadEngine({ worker: false });
  assert.equal(backend.threads, 1);
  const { relaxedSimd, reasons, variant } = await able();
  const threaded = relaxedSimd ? ['relaxed-threads', 'simd-threads'] : ['simd-threads'];
  assert.equal(variant, relaxedSimd ? 'relaxed' : 'simd');
  assert.deepEqual(globalThis.tried, [...threaded, variant]);
  for (const each of threaded) assert.ok(reasons.some((text) => text.includes(`${each} computes wrongly`)));
  await loadEngine({ worker: false });
  assert.equal(globalThis.tried.length, threaded.length + 1); // not tried again
  await rejects(loadEngine({ threads: 2, worker: false }), 'ERR_ENV_NO_THREADS', /computes wrongly/);
});

test('where every build computes wrongly, there is none', async () => {
  const { loadEngine } = await choosing('() => false');
  await rejects(loadEngine({ worker: false }), 'ERR_RUNTIME_CRASHED', /computes wrongly/);
});

test('where the workers of threads cannot be had, one thread runs', async () => {
  const { loadEngine, capabilities: able } = await choosing(`({ threads }) => {
    if (threads > 1) throw new WimmError('ERR_ENV_NO_THREADS', 'no threads: no workers');
    return true;
  }`);
  const { backend } = await loadEngine({ worker: false });
  assert.equal(backend.threads, 1);
  assert.equal(globalThis.tried.length, 2); // no build with threads is tried after the first
  assert.match((await able()).reasons.join(), /no threads: no workers/);
  await rejects(loadEngine({ threads: 4, worker: false }), 'ERR_ENV_NO_THREADS', /no workers/);
});
