// What a browser keeps from a page is a network error that says what the server, or the page, lacks.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { safetensors, serve } from '../node/support.mjs';
import { launch, open, site, skip, strictPolicy } from './support.mjs';

const browser = await launch();
const timeout = 300_000;
const bytes = safetensors(new Map([['weight', { shape: [4], data: new Float32Array(4) }]]));
const host = await serve((request, response) => {
  if (request.url === '/readable') response.setHeader('access-control-allow-origin', '*');
  response.end(bytes);
});

/** What a page says when it loads `address`, by a fetch in a `mode` of its own or as a response. */
const load = (tab, address, how) =>
  tab.evaluate(
    async ([address, how]) => {
      const { loadStateDict } = window.wimm;
      const opaque = (url, options) => fetch(url, { ...options, mode: 'no-cors' });
      const loading = {
        plainly: () => loadStateDict(address),
        'by a fetch of its own': () => loadStateDict(address, { fetch: opaque }),
        'as a response': async () => loadStateDict(await opaque(address)),
      }[how]();
      return loading.then(
        (tensors) => ({ names: [...tensors.keys()] }),
        ({ code, message, retryable }) => ({ code, message, retryable }),
      );
    },
    [address, how],
  );

function assertRefused({ code, message }) {
  assert.equal(code, 'ERR_NETWORK');
  assert.match(message, /CORS, CORP, mixed content/);
}

for (const isolated of [false, true]) {
  const page = isolated ? 'a page that requires CORP' : 'a page';
  test(`${page} is told why it may not read another origin's weights [N08]`, { skip, timeout }, async () => {
    const tab = await open(browser, await site({}, { isolated, policy: `${strictPolicy}; connect-src *` }));
    assertRefused(await load(tab, `${host}/weights`, 'plainly'));
    assertRefused(await load(tab, `${host}/weights`, 'by a fetch of its own'));
    if (!isolated) assertRefused(await load(tab, `${host}/weights`, 'as a response'));
    assert.deepEqual(await load(tab, `${host}/readable`, 'plainly'), { names: ['weight'] });
    await tab.close();
  });
}

test('a page with https is told why it may not read weights without [N08]', { skip, timeout }, async () => {
  const tab = await browser.newPage();
  const dist = fileURLToPath(new URL('../../dist', import.meta.url));
  await tab.route('https://page.test/**', async (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (!name) await route.fulfill({ contentType: 'text/html', body: '<!doctype html>' });
    else await route.fulfill({ contentType: 'text/javascript', body: await readFile(join(dist, name)) });
  });
  await tab.goto('https://page.test/');
  await tab.evaluate(async () => void (window.wimm = await import('/index.js')));
  assertRefused(await load(tab, 'http://models.test/weights', 'plainly'));
  await tab.close();
});
