// In a real browser, a plain module script loads the package from a static server, and classifies.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import sharp from 'sharp';
import { createModel } from 'wimm';

import { safetensors, weightsOf } from '../node/support.mjs';
import { launch, site, skip } from './support.mjs';

const script = `
  import { capabilities, createModel, listModels } from '/wimm/index.js';
  const show = (result) => document.body.append(Object.assign(document.createElement('pre'), { textContent: JSON.stringify(result) }));
  const steps = [];
  try {
    const { variant } = await capabilities();
    const model = await createModel('resnet10t', { weights: '/weights.safetensors', onProgress: ({ stage }) => steps.push(stage) });
    const file = await (await fetch('/image.png')).blob();
    const canvas = new OffscreenCanvas(64, 48);
    const bitmap = await createImageBitmap(file);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    const image = document.createElement('img');
    image.src = '/image.png';
    await image.decode();
    const pixels = canvas.getContext('2d').getImageData(0, 0, 64, 48);
    const results = await model.classify([file, canvas, bitmap, image, pixels]);
    const error = await model.forward({ data: new Float32Array(1), shape: [1, 1, 1, 1] }).catch(({ code }) => code);
    const backend = model.backend;
    model.dispose();
    await navigator.locks.request('wimm ' + new URL('/weights.safetensors', location.href), () => {});
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('wimm-1');
    const cached = (await Array.fromAsync(folder.keys())).length;
    show({ variant, backend, results, error, steps, cached, listed: listModels('resnet18').length });
  } catch (error) {
    show({ code: error.code, failed: String(error) + error.stack });
  }
`;

const browser = await launch();
const content = {
  '/': '<!doctype html><title>wimm</title><script type="module" src="main.js"></script>',
  '/main.js': script,
};
let expected;

before(async () => {
  const model = await createModel('resnet10t', { threads: 1 });
  const weights = safetensors(weightsOf(model));
  model.dispose();
  const pixels = Uint8Array.from({ length: 64 * 48 * 3 }, (_, i) => 128 + 100 * Math.sin(i / 50));
  content['/weights.safetensors'] = weights;
  content['/image.png'] = await sharp(pixels, { raw: { width: 64, height: 48, channels: 3 } })
    .png()
    .toBuffer();
  const loaded = await createModel('resnet10t', { weights, threads: 1 });
  expected = await loaded.classify({ data: pixels, width: 64, height: 48, channels: 3 });
  loaded.dispose();
});

for (const isolated of [false, true]) {
  test(`a page that is ${isolated ? '' : 'not '}cross-origin isolated classifies`, { skip }, async () => {
    const tab = await browser.newPage();
    await tab.goto(await site(content, { isolated }));
    const result = JSON.parse(await tab.textContent('pre', { timeout: 600_000 }));
    assert.equal(result.failed, undefined);
    assert.equal(result.backend.simd, 'relaxed-simd');
    assert.equal(result.backend.worker, true);
    assert.equal(result.backend.threads > 1, isolated && result.variant.endsWith('threads'));
    assert.equal(result.error, 'ERR_INPUT_SHAPE');
    assert.equal(result.listed, 1);
    assert.equal(result.cached, 1);
    assert.deepEqual([...new Set(result.steps)].sort(), ['compile', 'download', 'load']);
    for (const classes of result.results) {
      assert.deepEqual(
        classes.map(({ label }) => label),
        expected.map(({ label }) => label),
      );
      classes.forEach(({ probability }, i) => assert.ok(Math.abs(probability - expected[i].probability) < 1e-4));
    }
    await tab.close();
  });
}

test('a policy that forbids WebAssembly is named [R17]', { skip }, async () => {
  const tab = await browser.newPage();
  await tab.goto(await site(content, { policy: "script-src 'self'" }));
  const { code, failed } = JSON.parse(await tab.textContent('pre', { timeout: 600_000 }));
  assert.ok(['ERR_CSP', 'ERR_ENV_NO_SIMD'].includes(code), failed);
  assert.match(failed, /wasm-unsafe-eval/);
  await tab.close();
});
