// In a page, a download goes on where its connection broke, what was tampered with is refused, and a file of the
// visitor's is as good as a download.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { safetensors, serve } from '../node/support.mjs';
import { launch, open, site, skip, strictPolicy } from './support.mjs';

const browser = await launch();
const data = Float32Array.from({ length: 2 ** 19 }, (_, i) => Math.sin(i));
const bytes = safetensors(new Map([['weight', { shape: [data.length], data }]]));
const digestOf = (content) => createHash('sha256').update(content).digest('hex');
const digest = digestOf(new Uint8Array(data.buffer));
const policy = `${strictPolicy}; connect-src *`;

/** The digest of the tensor that a page loads, or what goes wrong; and what the page has in its cache. */
const load = (tab, weights, options) =>
  tab.evaluate(
    async ([weights, options]) => {
      const onProgress = ({ loaded }) => window.see?.(loaded);
      let result;
      try {
        const { data } = (await window.wimm.loadStateDict(weights, { ...options, onProgress })).get('weight');
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
        result = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
      } catch ({ code }) {
        result = code;
      }
      await window.kept(weights);
      return { result, entries: await window.entries() };
    },
    [weights, options],
  );

/** A server of the bytes, which ends each connection once the page has seen a third of them more. */
class Breaking {
  requests = [];
  etag = '"one"';
  #seen = () => {};

  see = (loaded) => this.#seen(loaded);

  answer = (request, response) => {
    this.requests.push([request.method, request.headers.range]);
    const start = Number(/\d+/.exec(request.headers.range ?? '0')[0]);
    const end = Math.min(start + Math.ceil(bytes.length / 3), bytes.length);
    response.writeHead(start ? 206 : 200, {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'ETag',
      'cache-control': 'no-store',
      etag: this.etag,
      'content-length': bytes.length - start,
      ...(start && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    });
    this.#seen = (loaded) => loaded === end && response.destroy();
    response.write(bytes.subarray(start, end));
  };
}

for (const where of ['the site', 'another host']) {
  test(`a download from ${where} goes on where its connection broke [N12]`, { skip }, async () => {
    const server = new Breaking();
    const address = await site({ '/weights': server.answer }, { policy });
    const host = where === 'the site' ? address : await serve(server.answer);
    const tab = await open(browser, address);
    await tab.exposeFunction('see', server.see);
    const { result, entries } = await load(tab, `${host}/weights`);
    await tab.close();
    assert.equal(result, digest);
    assert.deepEqual(entries, [digestOf(`${host}/weights`)]);
    const [first, ...more] = server.requests;
    assert.deepEqual(first, ['GET', undefined]);
    assert.equal(more.length, 2);
    for (const [method, range] of more) {
      assert.equal(method, 'GET'); // no preflight
      assert.match(range, /^bytes=[1-9]\d*-$/);
    }
  });
}

test('a download that changes under way is refused [N12]', { skip }, async () => {
  const server = new Breaking();
  const tab = await open(browser, await site({ '/weights': server.answer }));
  await tab.exposeFunction('see', (loaded) => {
    server.etag = '"two"';
    server.see(loaded);
  });
  assert.deepEqual(await load(tab, '/weights'), { result: 'ERR_NETWORK', entries: [] });
  await tab.close();
});

test('what has another digest than integrity expects is refused, and not kept [N14]', { skip }, async () => {
  const tampered = Uint8Array.from(bytes);
  tampered[tampered.length - 1] ^= 1;
  let body = tampered;
  const address = await site({ '/weights': (_, response) => response.end(body) });
  const tab = await open(browser, address);
  const integrity = `sha256-${createHash('sha256').update(bytes).digest('base64')}`;
  assert.deepEqual(await load(tab, '/weights', { integrity }), { result: 'ERR_INTEGRITY', entries: [] });
  body = bytes;
  assert.deepEqual(await load(tab, '/weights', { integrity }), {
    result: digest,
    entries: [digestOf(`${address}/weights`)],
  });
  await tab.close();
});

test('what the cache holds must have the digest that integrity expects [K10]', { skip }, async () => {
  const tab = await open(browser, await site({ '/weights': bytes }));
  assert.equal((await load(tab, '/weights')).result, digest);
  const integrity = `sha256-${digestOf('another file')}`;
  assert.equal((await load(tab, '/weights', { integrity })).result, 'ERR_INTEGRITY');
  await tab.close();
});
