// The four WebAssembly builds run, and agree.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const [major] = process.versions.node.split('.').map(Number);
const relaxedFlag = major < 22 ? ['--experimental-wasm-relaxed-simd'] : [];

/** Runs in a process of its own, for its own flags: logits of resnet18, and the build that gave them. */
function run(threads, flags) {
  const program = `
    import { capabilities, createModel } from 'wimm';
    const { variant } = await capabilities();
    const model = await createModel('resnet18', { threads: ${threads} });
    const second = await createModel('resnet18', { threads: ${threads} });
    const x = { data: new Float32Array(3 * 64 * 64).map((_, i) => Math.sin(i)), shape: [1, 3, 64, 64] };
    const { data } = await model.forward(x);
    const again = await second.forward(x);
    second.dispose();
    console.log(JSON.stringify({ variant, backend: model.backend, data: [...data], again: [...again.data] }));`;
  const output = execFileSync(process.execPath, [...flags, '--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return JSON.parse(output);
}

const expected = run(1, []).data;

for (const threads of [1, 2, 4]) {
  for (const [simd, flags, skip] of [
    ['simd', [], major >= 22],
    ['relaxed-simd', relaxedFlag, false],
  ]) {
    test(`${simd}, ${threads} threads, and the process ends by itself`, { skip }, () => {
      const { backend, data, again } = run(threads, flags);
      const variant = `${simd.replace('-simd', '')}${threads > 1 ? '-threads' : ''}`;
      assert.deepEqual(backend, { variant, simd, threads });
      assert.deepEqual(again, data);
      const largest = Math.max(...expected.map(Math.abs));
      const error = Math.max(...data.map((value, i) => Math.abs(value - expected[i])));
      assert.ok(error <= 1e-4 * largest, `differs by ${error} of ${largest}`);
    });
  }
}
