// In a real browser, a plain module script loads the package from a static server, and classifies.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { createModel } from 'wimm';

import { safetensors, serve, weightsOf } from '../node/support.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = `--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync`.split(/\s+/);
const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

const page = `<!doctype html><title>wimm</title><script type="module">
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
    const cached = (await (await caches.open('wimm-1')).keys()).length;
    show({ variant, backend, results, error, steps, cached, listed: listModels('resnet18').length });
  } catch (error) {
    show({ code: error.code, failed: String(error) + error.stack });
  }
</script>`;

/**
 * A static server of the package, a page, an image and weights; `isolated` with the headers that threads need. Its policy
 * has no 'unsafe-eval': the package evaluates no strings.
 */
async function site(
  content,
  { isolated = false, policy = "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'" } = {},
) {
  return serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin');
      response.setHeader('cross-origin-embedder-policy', 'require-corp');
    }
    response.setHeader('content-security-policy', policy);
    try {
      const body = content[pathname] ?? (await readFile(join(dist, pathname.replace(/^\/wimm\//, ''))));
      response.setHeader('content-type', types[extname(pathname)] ?? 'text/html');
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
}

let browser;
let expected;
const content = { '/': page };

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
  if (existsSync(executablePath)) browser = await chromium.launch({ executablePath, args });
});
after(() => browser?.close());

for (const isolated of [false, true]) {
  test(`a page that is ${isolated ? '' : 'not '}cross-origin isolated classifies`, async (context) => {
    if (!browser) return context.skip(`there is no ${executablePath}`);
    const tab = await browser.newPage();
    await tab.goto(await site(content, { isolated }));
    const result = JSON.parse(await tab.textContent('pre', { timeout: 60_000 }));
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
    return undefined;
  });
}

test('a policy that forbids WebAssembly is named', async (context) => {
  if (!browser) return context.skip(`there is no ${executablePath}`);
  const tab = await browser.newPage();
  await tab.goto(await site(content, { policy: "script-src 'self' 'unsafe-inline'" }));
  const { code, failed } = JSON.parse(await tab.textContent('pre', { timeout: 60_000 }));
  assert.ok(['ERR_CSP', 'ERR_ENV_NO_SIMD'].includes(code), failed);
  assert.match(failed, /wasm-unsafe-eval/);
  await tab.close();
  return undefined;
});
