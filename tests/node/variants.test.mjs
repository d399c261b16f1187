// The four WebAssembly builds run, agree, and give timm's numbers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const [major] = process.versions.node.split('.').map(Number);
const relaxedFlag = major < 22 ? ['--experimental-wasm-relaxed-simd'] : [];

/** Runs in a process of its own, for its own flags: logits of resnet18, and the build that gave them. */
function run(threads, flags, dtype = 'float32') {
  const program = `
    import { capabilities, createModel } from 'wimm';
    const { variant } = await capabilities();
    const model = await createModel('resnet18', { threads: ${threads}, dtype: '${dtype}' });
    const second = await createModel('resnet18', { threads: ${threads}, dtype: '${dtype}' });
    const x = { data: new Float32Array(3 * 64 * 64).map((_, i) => Math.sin(i)), shape: [1, 3, 64, 64] };
    const { data } = await model.forward(x);
    const again = await second.forward(x);
    second.dispose();
    console.log(JSON.stringify({ variant, backend: model.backend, data: [...data], again: [...again.data] }));`;
  return JSON.parse(runProgram(program, flags));
}

function runProgram(program, flags) {
  const args = [...flags, '--input-type=module', '-e', program];
  return execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8', timeout: 600_000 });
}

/** The build that the architectures run in, each of which gives timm's numbers. */
function checkGoldens(names, threads, flags) {
  const program = `
    import { createModel } from 'wimm';
    import { images } from '../parity/synthetic.mjs';
    import { assertGolden, checkpointOf, goldens } from './goldens.mjs';
    import { safetensors } from './support.mjs';
    const variants = new Set();
    for (const name of ${JSON.stringify(names)}) {
      const golden = goldens.find(({ model, levels }) => model === name && levels.length > 0);
      const weights = safetensors(await checkpointOf(golden));
      const model = await createModel(name, { weights, threads: ${threads} });
      const x = images(golden.input);
      assertGolden(name + ': features', await model.forwardFeatures(x), golden.features);
      assertGolden(name + ': logits', await model.forward(x), golden.logits);
      variants.add(model.backend.variant);
      model.dispose();
    }
    console.log([...variants].join());`;
  return runProgram(program, flags).trim();
}

const expected = run(1, []).data;

/** That these are the logits of float32, but for so much of the largest. */
function assertNear(data, tolerance) {
  const largest = Math.max(...expected.map(Math.abs));
  const error = Math.max(...data.map((value, i) => Math.abs(value - expected[i])));
  assert.ok(error <= tolerance * largest, `differs by ${error} of ${largest}`);
}

for (const threads of [1, 2, 4]) {
  for (const [simd, flags, skip] of [
    ['simd', [], major >= 22],
    ['relaxed-simd', relaxedFlag, false],
  ]) {
    test(`${simd}, ${threads} threads, and the process ends by itself [R22]`, { skip }, () => {
      const { backend, data, again } = run(threads, flags);
      const variant = `${simd.replace('-simd', '')}${threads > 1 ? '-threads' : ''}`;
      assert.deepEqual(backend, { variant, simd, threads, worker: false });
      assert.deepEqual(again, data);
      assertNear(data, 1e-4);
    });
  }
}

// Engines that have no such flag do not use the instruction for sums of products of bytes.
const bytesFlag = '--no-enable-avx-vnni';
const knowsFlag = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' }).includes('avx-vnni');

for (const [variant, threads, flags, skip] of [
  ['simd', 1, [], major >= 22],
  ['relaxed', 1, relaxedFlag, false],
  ['relaxed', 1, [...relaxedFlag, bytesFlag], !knowsFlag],
  ['relaxed-threads', 3, relaxedFlag, false],
]) {
  test(`int8 in ${[variant, ...flags].join(' ')} gives the numbers of float32, nearly`, { skip }, () => {
    const { backend, data, again } = run(threads, flags, 'int8');
    assert.equal(backend.variant, variant);
    assert.deepEqual(again, data);
    assertNear(data, 0.05);
  });
}

for (const [variant, threads, flags] of [
  ['simd-threads', 3, []],
  ['relaxed', 1, relaxedFlag],
  ['relaxed-threads', 3, relaxedFlag],
]) {
  test(`${variant} gives timm's numbers`, { skip: variant === 'simd-threads' && major >= 22 }, () => {
    const names = ['resnet34', 'tf_efficientnet_lite0', 'efficientnet_b0', 'densenet121', 'vit_tiny_patch16_224'];
    assert.equal(checkGoldens(names, threads, flags), variant);
  });
}
