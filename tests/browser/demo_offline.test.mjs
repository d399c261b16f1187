// The demo's service worker: it isolates the page on a plain host, keeps it for when there is no network, and gives way to
// new versions.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { browser, buildDemo, classes, done, faults, host, visit, weights } from './demo.mjs';
import { skip } from './support.mjs';

const text = 'Your pictures stay here.';
const newText = 'This is the second version.';
const renamed = {
  name: 'second-version',
  transformIndexHtml: { order: 'pre', handler: (html) => html.replace(text, newText) },
};
const [first, second] = skip ? [] : [await buildDemo(), await buildDemo(renamed)];

/** Waits until the page says that it works offline. */
const kept = (page) => page.waitForSelector('#kept:visible');

test('on a host without headers, the page is reloaded once, and is isolated', { skip }, async () => {
  const address = await host(() => first);
  const page = await (await browser.newContext()).newPage();
  let navigations = 0;
  page.on('request', (request) => (navigations += request.isNavigationRequest()));
  await page.goto(`${address}?channels=8`);
  await kept(page);
  await page.waitForFunction(() => window.crossOriginIsolated);
  assert.equal(navigations, 2);
  assert.equal(await page.isChecked('input[name="channels"][value="8"]'), true);
  await page.waitForSelector('#threads:enabled:has(option)');
  await page.reload();
  await kept(page);
  assert.equal(navigations, 3);
  await page.context().close();
});

test('on a host that isolates the page itself, nothing is reloaded', { skip }, async () => {
  const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  const address = await host(() => first, {}, isolation);
  const page = await (await browser.newContext()).newPage();
  let navigations = 0;
  page.on('request', (request) => (navigations += request.isNavigationRequest()));
  await page.goto(address);
  await kept(page);
  assert.equal(navigations, 1);
  await page.context().close();
});

test('a visitor who has begun is asked before the reload', { skip }, async () => {
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  const address = await host(() => first, {
    '/some/folder/service_worker.js': async (request, response) => {
      await begun;
      response.setHeader('content-type', 'text/javascript').end(await readFile(join(first, 'service_worker.js')));
    },
  });
  const page = await (await browser.newContext()).newPage();
  await page.goto(address);
  await page.keyboard.press('Tab');
  begin();
  await page.click('#renew:visible');
  await page.waitForFunction(() => window.crossOriginIsolated);
  await page.context().close();
});

test('once visited, it works without its server and the hub', { skip }, async () => {
  let folder = first;
  const address = await host(() => folder);
  const page = await visit(`${address}?channels=25`);
  await page.click('#load');
  await done(page);
  const online = await classes(page);
  await kept(page);

  folder = undefined;
  await page.context().unroute('https://huggingface.co/**');
  await page.context().route('https://huggingface.co/**', (route) => route.abort());
  await page.reload();
  assert.equal(await page.evaluate(() => window.crossOriginIsolated), true);
  await page.click('#load');
  await done(page);
  assert.deepEqual(await classes(page), online);
  assert.equal(await page.isVisible('#problem'), false);
  await page.click('.sample >> nth=1');
  await page.waitForSelector('#classes:not(.stale) li:first-child .label:text("espresso")');
  await page.check('input[name="simd"][value="simd"]', { force: true });
  await page.waitForSelector('#engine-hint:text("Build simd-threads")'); // a build that was never used before
  await done(page);
  assert.equal((await classes(page))[0].label, 'espresso');
  await page.context().close();
});

test('a new version takes the place of one that nobody uses, and weights stay', { skip }, async () => {
  let folder = first;
  const address = await host(() => folder);
  const page = await visit(address);
  await page.click('#load');
  await done(page);
  await kept(page);
  folder = second;
  await page.reload();
  await page.waitForSelector(`header:has-text("${newText}")`);
  await kept(page);
  assert.equal(await page.evaluate(() => window.crossOriginIsolated), true);
  await page.context().unroute('https://huggingface.co/**');
  await page.context().route('https://huggingface.co/**', (route) => route.abort());
  await page.click('#load');
  await done(page);
  await page.context().close();
});

test('a new version waits for a visitor who uses the old one, which goes on', { skip }, async () => {
  let folder = first;
  const address = await host(() => folder);
  const page = await visit(address);
  await kept(page);
  await page.keyboard.press('Tab');
  folder = second;
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await page.waitForSelector('#notice:visible');
  await page.setInputFiles('#weights-file', weights);
  await page.click('#load');
  await done(page);
  assert.match((await classes(page))[0].label, /cat|tabby/);
  assert.match(await page.textContent('header'), new RegExp(text));
  await page.click('#renew');
  await page.waitForSelector(`header:has-text("${newText}")`);
  assert.equal(await page.isVisible('#notice'), false);
  await page.context().close();
});

test('no page threw, or broke its policy', { skip }, () => assert.deepEqual(faults, []));
