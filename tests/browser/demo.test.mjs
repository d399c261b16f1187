// The demo, built and served from a folder of a plain static server, with real weights instead of the hub's.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'vite';
import { createModel } from 'wimm';

import { samples } from '../../scripts/samples.mjs';
import { serve, temporaryFolder } from '../node/support.mjs';
import { launch, skip } from './support.mjs';

const types = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webp': 'image/webp',
};
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; connect-src * blob:";
const folder = '/some/folder/';

const built = temporaryFolder();
const origin = await serve(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  response.setHeader('content-security-policy', policy);
  if (pathname === '/halting.pth') {
    response.writeHead(200, { 'content-length': 2 ** 24 }).write((await readFile(weights)).subarray(0, 2 ** 20));
    return;
  }
  const path = pathname.slice(folder.length) || 'index.html';
  const body = pathname.startsWith(folder) && (await readFile(join(built, path)).catch(() => undefined));
  response.setHeader('content-type', types[extname(path)] ?? 'text/plain');
  response.writeHead(body ? 200 : 404).end(body || undefined);
});
const browser = await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');
let weights, photographs;
/** Faults of the page's own: what it throws, and what its policy forbids. */
const faults = [];

before(async () => {
  if (skip) return;
  ({ weights, photographs } = await samples());
  await build({
    root: fileURLToPath(new URL('../../web', import.meta.url)),
    build: { outDir: built },
    logLevel: 'warn',
  });
});

/** A page of a visitor who has not been here before. The hub has the sample weights. */
async function visit(query = '') {
  const context = await browser.newContext();
  await context.route('https://huggingface.co/**', (route) => route.fulfill({ path: weights }));
  const page = await context.newPage();
  page.setDefaultTimeout(300_000);
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => message.text().includes('Content Security Policy') && faults.push(message.text()));
  await page.goto(`${origin}${folder}${query}`);
  return page;
}

/** Waits until the model is loaded, and all is drawn. */
function done(page) {
  return page.waitForSelector('body[data-state="done"]');
}

async function classes(page) {
  const labels = await page.locator('#classes:not(.stale) .label').allTextContents();
  const shares = await page.locator('#classes .share').allTextContents();
  return labels.map((label, i) => ({ label, probability: parseFloat(shares[i]) / 100 }));
}

test('the sample photograph has the classes that Node.js gives', { skip }, async () => {
  const page = await visit();
  await page.click('#load');
  await done(page);
  const model = await createModel('tf_efficientnet_lite0', { weights });
  const expected = await model.classify(
    fileURLToPath(new URL('../../web/public/photographs/chelsea.webp', import.meta.url)),
  );
  model.dispose();
  const shown = await classes(page);
  assert.deepEqual(
    shown.map(({ label }) => label),
    expected.map(({ label }) => label.split(',')[0]),
  );
  shown.forEach(({ probability }, i) => assert.ok(Math.abs(probability - expected[i].probability) < 1e-3));
  assert.match(page.url(), /\?model=tf_efficientnet_lite0\.in1k$/);
  await page.context().close();
});

test(
  'channels are chosen while a model is loaded, and its first layer is drawn before and after',
  { skip },
  async () => {
    const page = await visit('?channels=25');
    await page.click('#load');
    await done(page);
    assert.match((await classes(page))[0].label, /cat|tabby/);
    assert.equal(await page.textContent('#before-text'), 'As trained [32, 3, 3, 3]');
    assert.equal(await page.textContent('#after-text'), 'As loaded [32, 25, 3, 3]');
    const width = (id) => page.evaluate((id) => document.getElementById(id).width, id);
    assert.ok((await width('after')) > 7 * (await width('before')));
    await page.fill('#channels', '7');
    await page.press('#channels', 'Enter');
    await page.waitForSelector('#after-text:text("[32, 7, 3, 3]")');
    await done(page);
    assert.equal((await classes(page)).length, 5);
    assert.match(page.url(), /channels=7/);
    await page.context().close();
  },
);

test('a model is found and chosen by keyboard alone', { skip }, async () => {
  const page = await visit();
  await page.keyboard.press('Tab');
  await page.keyboard.type('resnet 18');
  await page.waitForSelector('#models li.active');
  const names = await page.locator('#models .name').allTextContents();
  assert.ok(names.includes('resnet18') && names.every((name) => /resnet/.test(name) && /18/.test(name)), String(names));
  while ((await page.textContent('#models li.active .name')) !== 'resnet18') await page.keyboard.press('ArrowDown');
  assert.equal(
    await page.getAttribute('#model', 'aria-activedescendant'),
    await page.getAttribute('#models li.active', 'id'),
  );
  await page.keyboard.press('Enter');
  assert.equal(await page.inputValue('#model'), 'resnet18');
  assert.equal(await page.isVisible('#catalogue'), false);
  assert.match(await page.textContent('#facts'), /^11\.\d|12 M parameters/);
  await page.selectOption('#weights', 'random');
  await page.focus('#load');
  await page.keyboard.press('Enter');
  await done(page);
  assert.equal((await classes(page)).length, 5);
  await page.context().close();
});

test('a photograph and a file of weights are dropped, and a photograph is pasted', { skip }, async () => {
  const page = await visit();
  const bytes = await Promise.all([photographs.coffee, weights].map((path) => readFile(path, 'base64')));
  await page.evaluate((files) => {
    const decode = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    window.give = (event, index, name, type) => {
      const data = new window.DataTransfer();
      data.items.add(new File([decode(files[index])], name, { type }));
      const options = { bubbles: true, cancelable: true };
      if (event === 'paste')
        document.dispatchEvent(new window.ClipboardEvent('paste', { clipboardData: data, ...options }));
      else document.dispatchEvent(new window.DragEvent('drop', { dataTransfer: data, ...options }));
    };
  }, bytes);
  await page.evaluate(() => window.give('drop', 0, 'coffee.png', 'image/png'));
  await page.evaluate(() => window.give('drop', 1, 'lite0.pth', ''));
  await done(page);
  assert.equal((await classes(page))[0].label, 'espresso');
  await page.click('.sample >> nth=0');
  await page.waitForSelector('#classes:not(.stale) li:first-child .label:text("cat")');
  await page.evaluate(() => window.give('paste', 0, 'coffee.png', 'image/png'));
  await page.waitForSelector('#classes:not(.stale) li:first-child .label:text("espresso")');
  await page.context().close();
});

test('a download shows its progress, and is cancelled', { skip }, async () => {
  const page = await visit('?weights=/halting.pth');
  await page.click('#load');
  await page.waitForSelector('#progress-text:text("Downloading 1 MB of 16.8 MB")');
  assert.match(await page.textContent('#progress-text'), /MB\/s$/);
  await page.click('#cancel');
  await page.waitForSelector('#load');
  assert.equal(await page.isVisible('#progress'), false);
  assert.equal(await page.isVisible('#problem'), false);
  await page.selectOption('#weights', 'random');
  await page.click('#load');
  await done(page);
  await page.context().close();
});

test('what goes wrong is said', { skip }, async () => {
  const page = await visit('?model=resnet10t&weights=/absent.pth');
  await page.click('#load');
  assert.match(await page.textContent('#problem:visible'), /404/);
  await page.context().close();
});

test('the camera is classified, frame by frame', { skip }, async () => {
  const page = await visit('?model=resnet10t&weights=random');
  await page.click('#camera-switch');
  await page.waitForSelector('#camera:visible');
  await page.click('#load');
  await page.waitForSelector('#timing:text("a second")');
  await page.click('#camera-switch');
  await page.waitForSelector('#photo:visible');
  assert.equal(await page.evaluate(() => document.getElementById('camera').srcObject), null);
  await page.context().close();
});

test('no page threw, or broke its policy', { skip }, () => assert.deepEqual(faults, []));
