// The demo, built and served from a folder of a plain static server, with real weights instead of the hub's.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createModel } from 'wimm';

import { browser, buildDemo, classes, done, faults, host, photographs, visit as visitAt, weights } from './demo.mjs';
import { skip } from './support.mjs';

const built = skip ? '' : await buildDemo();
const address = await host(() => built, {
  '/halting.pth': async (request, response) => {
    response.writeHead(200, { 'content-length': 2 ** 24 }).write((await readFile(weights)).subarray(0, 2 ** 20));
  },
});
const visit = (query = '', options = {}) => visitAt(`${address}${query}`, options);

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
    await page.waitForSelector('#after-text :text-is("[32, 7, 3, 3]")');
    await done(page);
    assert.equal((await classes(page)).length, 5);
    assert.match(page.url(), /channels=7/);
    await page.context().close();
  },
);

test('a model is found, chosen and run by keyboard alone', { skip }, async () => {
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
  await page.keyboard.press('Tab');
  await page.keyboard.type('Random');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowRight'); // from 3 channels to 8
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await done(page);
  assert.equal((await classes(page)).length, 5);
  assert.match(page.url(), /model=resnet18&channels=8&weights=random$/);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), 'A photograph of a cup of coffee');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#classes:not(.stale) li');
  await page.context().close();
});

test('the time of each layer is charted, by keyboard and in a table', { skip }, async () => {
  const page = await visit('?model=resnet18&weights=random&channels=8');
  await page.click('#load');
  await done(page);
  const model = await createModel('resnet18', { inChans: 8 });
  const x = { data: new Float32Array(8 * 224 * 224), shape: [1, 8, 224, 224] };
  const expected = (await model.profile(x)).map(({ name, kind }) => ({ name, kind }));
  model.dispose();
  assert.equal(await page.locator('#chart span').count(), expected.length);
  assert.equal(await page.locator('#layer-rows tr').count(), 8);
  await page.click('#all-layers');
  const rows = await page.locator('#layer-rows tr').evaluateAll((rows) =>
    rows.map(({ cells: [name, kind, time, share] }) => ({
      name: name.textContent,
      kind: kind.textContent,
      time: parseFloat(time.textContent),
      share: parseFloat(share.textContent),
    })),
  );
  assert.deepEqual(
    rows.map(({ name, kind }) => ({ name, kind })),
    expected,
  );
  const sum = (key) => rows.reduce((sum, row) => sum + row[key], 0);
  assert.ok(Math.abs(sum('share') - 100) < 0.05 * rows.length, `${sum('share')} %`); // each is rounded to a tenth
  const total = parseFloat(await page.textContent('#layers-hint'));
  assert.ok(Math.abs(sum('time') - total) < 0.5 * rows.length, `${sum('time')} of ${total} ms`); // … to a millisecond

  await page.focus('#chart');
  for (const [key, at] of [
    ['Home', 0],
    ['ArrowRight', 1],
    ['End', expected.length - 1],
  ]) {
    await page.keyboard.press(key);
    const { name, kind } = expected[at];
    assert.equal(await page.getAttribute('#chart', 'aria-valuenow'), String(at + 1));
    assert.ok((await page.getAttribute('#chart', 'aria-valuetext')).startsWith(`${name}, ${kind}, 1 × `));
    assert.equal(await page.textContent('#layer strong'), name);
  }
  await page.hover('#chart span >> nth=2');
  assert.equal(await page.textContent('#layer strong'), expected[2].name);
  await page.context().close();
});

test('SIMD and threads are chosen, load the model again, and stay in the address', { skip }, async () => {
  const page = await visit('?model=resnet10t&weights=random');
  await page.click('#load');
  await done(page);
  assert.match(await page.textContent('#engine-hint'), /^Build relaxed-threads, in a worker$/);
  await page.locator('label:has([name="simd"][value="simd"])').click();
  await page.waitForSelector('#engine-hint:text("Build simd-threads, in a worker")');
  await done(page);
  await page.selectOption('#threads', '1');
  await page.waitForSelector('#engine-hint:text-is("Build simd, in a worker")');
  await done(page);
  assert.match(await page.textContent('#timing'), /plain SIMD, 1 thread$/);
  assert.match(page.url(), /simd=simd&threads=1$/);
  await page.reload();
  await page.waitForSelector('#threads:has(option)');
  assert.equal(await page.inputValue('#threads'), '1');
  await page.click('#load');
  await page.waitForSelector('#engine-hint:text-is("Build simd, in a worker")');
  await page.context().close();
});

test('where there are no threads, the page says why', { skip }, async () => {
  const context = await browser.newContext({ serviceWorkers: 'block' });
  const page = await context.newPage();
  await page.goto(`${address}?threads=2`);
  await page.waitForSelector('#engine-hint:text("no threads: the page is not cross-origin isolated")');
  assert.equal(await page.isDisabled('#threads'), true);
  await page.selectOption('#weights', 'random');
  await page.click('#load');
  await done(page);
  assert.match(await page.textContent('#timing'), /1 thread$/);
  await context.close();
});

test('on a phone, nothing is wider than the page', { skip }, async () => {
  const page = await visit('?channels=25', { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), 360);
  await page.tap('#model');
  await page.waitForSelector('#models li.active');
  assert.equal(await width(), 360);
  const { x, width: wide } = await page.locator('#catalogue').boundingBox();
  assert.ok(x >= 0 && x + wide <= 360);
  await page.keyboard.press('Escape');
  await page.tap('#load');
  await done(page);
  await page.tap('#all-layers');
  assert.equal(await width(), 360);
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
