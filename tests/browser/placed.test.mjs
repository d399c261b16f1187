// The WebAssembly files may lie apart from the package, in a folder or on another host: configure({ wasm }) tells where.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';

import { serve } from '../node/support.mjs';
import { launch, open, site, skip } from './support.mjs';

const browser = await launch();
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' http://127.0.0.1:*";

/** A handler of requests that sends a file of the package, whatever its folder, with CORS. */
async function send(request, response) {
  const body = await readFile(new URL(`../../dist/${basename(request.url)}`, import.meta.url));
  response.writeHead(200, { 'access-control-allow-origin': '*', 'content-type': 'application/wasm' }).end(body);
}

const content = {};
for (const variant of ['simd', 'simd-threads', 'relaxed', 'relaxed-threads']) {
  content[`/wimm/wimm-${variant}.wasm`] = (_, response) => response.writeHead(404).end();
  content[`/apart/wimm-${variant}.wasm`] = send;
}

/** What a page says that looks for the files there. */
const run = (tab, wasm) =>
  tab.evaluate(async (wasm) => {
    const { configure, createModel } = window.wimm;
    configure({ wasm });
    try {
      const model = await createModel('resnet10t');
      const { shape } = await model.forward({ data: new Float32Array(3 * 64 * 64), shape: [1, 3, 64, 64] });
      return { shape, threads: model.backend.threads };
    } catch ({ code, message, details }) {
      return { code, message, url: details?.url };
    }
  }, wasm);

for (const isolated of [false, true]) {
  test(`WebAssembly files may lie elsewhere, ${isolated ? 'with' : 'without'} threads [R16]`, { skip }, async () => {
    const address = await site(content, { isolated, policy });
    for (const wasm of ['/apart', `${await serve(send)}/some/folder/`]) {
      const tab = await open(browser, address);
      const { code, message, url } = await run(tab, undefined);
      assert.equal(code, 'ERR_WASM_LOAD');
      assert.match(message, /configure\(\{ wasm \}\)/);
      assert.ok(url.startsWith(`${address}/wimm/wimm-relaxed`), url);
      const { shape, threads } = await run(tab, wasm);
      assert.deepEqual(shape, [1, 1000]);
      assert.equal(threads > 1, isolated);
      await tab.close();
    }
  });
}
