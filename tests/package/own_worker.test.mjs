// In a module worker of the page's own, the package runs as bundlers leave it: in that worker, and in one below it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { build } from 'vite';

import { launch, skip } from '../browser/support.mjs';
import { buildFolder, host, installPackage } from './support.mjs';

const browser = await launch();
const folder = buildFolder('own-worker');
installPackage(folder);
const sources = {
  'package.json': '{ "type": "module" }',
  'index.html': '<!doctype html><script type="module" src="./main.js"></script>',
  'main.js': `
    const own = new Worker(new URL('./own.js', import.meta.url), { type: 'module' });
    own.onmessage = ({ data }) => (window.result = data);
    own.onerror = ({ message }) => (window.result = message);`,
  'own.js': `
    import { createModel } from 'wimm';
    async function run(worker) {
      const model = await createModel('resnet10t', { worker });
      const { shape } = await model.forward({ data: new Float32Array(3 * 64 * 64), shape: [1, 3, 64, 64] });
      return [shape.join(), model.backend.worker, model.backend.variant];
    }
    Promise.all([run(false), run(true)]).then(postMessage, ({ message }) => postMessage(message));`,
};
for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);

async function assertRuns(files) {
  for (const isolated of [false, true]) {
    const tab = await browser.newPage();
    await tab.goto(await host(files, isolated));
    const result = await tab.waitForFunction(() => window.result, undefined, { timeout: 300_000 });
    const variant = isolated ? 'relaxed-threads' : 'relaxed';
    assert.deepEqual(await result.jsonValue(), [
      ['1,1000', false, variant],
      ['1,1000', true, variant],
    ]);
    await tab.close();
  }
}

test('bundled by Vite', { skip }, async () => {
  await build({ root: folder, build: { minify: false }, logLevel: 'error' });
  await assertRuns((path) => readFile(join(folder, 'dist', path)));
});

test('bundled by webpack', { skip }, async () => {
  const webpack = promisify(createRequire(import.meta.url)('webpack'));
  const output = { path: join(folder, 'packed'), filename: 'main.js' };
  const optimization = { minimize: false }; // which the example shows
  const stats = await webpack({ mode: 'production', optimization, context: folder, entry: './main.js', output });
  assert.equal(stats.hasErrors(), false, stats.toString('errors-only'));
  await assertRuns((path) => readFile(join(folder, path === '/index.html' ? '' : 'packed', path)));
});
