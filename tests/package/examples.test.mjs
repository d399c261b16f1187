// The examples run with the package as it is published, under a strict policy, with threads and without.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';

import { build, createServer } from 'vite';

import { samples } from '../../scripts/samples.mjs';
import { launch, skip } from '../browser/support.mjs';
import { serve } from '../node/support.mjs';
import { buildFolder, host, installPackage } from './support.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = buildFolder('examples');
cpSync(join(root, 'examples'), folder, { recursive: true });

function install(example, at) {
  installPackage(join(folder, example), at);
  return join(folder, example);
}

const { weights, photographs } = await samples();
const checkpoint = await readFile(weights);
const browser = await launch();

/** Uses the page as its visitor does. Gives the build that ran. */
async function use(address) {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(300_000);
  const errors = [];
  tab.on('pageerror', (error) => errors.push(String(error)));
  await tab.route('https://huggingface.co/**', (route) =>
    route.request().url().endsWith('.bin')
      ? route.fulfill({ body: checkpoint, headers: { 'access-control-allow-origin': '*' } })
      : route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' } }),
  );
  await tab.goto(address);
  await tab.setInputFiles('input', photographs.chelsea);
  await tab.waitForSelector('li');
  const classes = await tab.locator('li').allTextContents();
  assert.match(classes[0], /^tiger cat 39\.\d%$/);
  const [, variant] = /^ready: (.*)$/.exec(await tab.textContent('output'));
  assert.deepEqual(errors, []);
  await tab.close();
  return variant;
}

async function useHosted(files) {
  assert.equal(await use(await host(files, false)), 'relaxed');
  assert.equal(await use(await host(files, true)), 'relaxed-threads');
}

test('plain HTML', { skip }, async () => {
  const example = install('html', 'wimm-package');
  await useHosted((path) => readFile(join(example, path.replace(/^\/wimm\//, '/wimm-package/dist/'))));
});

const viteExample = install('vite');
await build({ root: viteExample, logLevel: 'error' });

test('Vite, built', { skip }, () => useHosted((path) => readFile(join(viteExample, 'dist', path))));

test('Vite, its server for development', { skip }, async (context) => {
  const server = await createServer({
    root: viteExample,
    logLevel: 'error',
    server: { host: '127.0.0.1', port: 0, strictPort: false },
  });
  context.after(() => server.close());
  await server.listen();
  assert.equal(await use(`http://127.0.0.1:${server.httpServer.address().port}/`), 'relaxed');
});

test('webpack', { skip }, async () => {
  const example = install('webpack');
  const { default: config } = await import(pathToFileURL(join(example, 'webpack.config.mjs')));
  const webpack = createRequire(import.meta.url)('webpack');
  const stats = await promisify(webpack)(config);
  assert.equal(stats.hasErrors(), false, stats.toString('errors-only'));
  await useHosted((path) => readFile(join(example, path === '/index.html' ? '' : 'dist', path)));
});

test('Node.js', async () => {
  const hub = await serve((request, response) => {
    const found = request.url.endsWith('.bin');
    response.writeHead(found ? 200 : 404).end(found ? checkpoint : undefined);
  });
  const env = { ...process.env, HF_ENDPOINT: hub, XDG_CACHE_HOME: join(folder, 'cache') };
  const args = ['classify.mjs', photographs.chelsea, photographs.coffee];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: install('node'), env });
  assert.match(stdout, /chelsea\.png tiger cat 39\.\d% .*\n.*coffee\.png espresso 95\.\d%/);
});

// At the quality with which servers keep compressed what never changes.
async function compressedSize(file) {
  const options = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  return (await promisify(brotliCompress)(await readFile(file), options)).length;
}

test('JavaScript and one build are at most 600 kB with brotli', async (context) => {
  const assets = join(viteExample, 'dist/assets');
  const names = readdirSync(assets).filter((name) => /\.(m?js|wasm)$/.test(name));
  const sizes = await Promise.all(names.map((name) => compressedSize(join(assets, name))));
  const files = names.map((name, i) => ({ name, size: sizes[i], isBuild: name.endsWith('.wasm') }));
  const javascript = files.reduce((sum, { isBuild, size }) => sum + (isBuild ? 0 : size), 0);
  for (const { name, size } of files.filter(({ isBuild }) => isBuild)) {
    const total = javascript + size;
    context.diagnostic(`${name}: ${Math.round(total / 1000)} kB with all JavaScript`);
    assert.ok(total <= 600_000, `${name}: ${total} bytes`);
  }
});
