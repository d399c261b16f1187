// Processes that load, keep and replace one entry of the cache at once.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadStateDict } from 'wimm';

import { safetensors, serve, temporaryFolder } from './support.mjs';

const contentOf = (version) =>
  safetensors(new Map([['weight', { shape: [1 << 14], data: new Float32Array(1 << 14).fill(version) }]]));

// Loads when it is told to, and tells what it saw.
const program = `
  import { loadStateDict } from '${import.meta.resolve('wimm')}';
  process.on('message', async (address) => {
    const { data } = (await loadStateDict(address)).get('weight');
    process.send({ version: data[0], whole: data.every((value) => value === data[0]) });
  });
  process.send('ready');`;

test('of eight processes that write one entry, each reads what is old or new, never a mix [K03]', async (t) => {
  process.env.XDG_CACHE_HOME = temporaryFolder();
  const folder = join(process.env.XDG_CACHE_HOME, 'wimm', 'v1');
  let version = 0;
  let newerFrom; // the request of the round from which there is a newer version
  let requests;
  const address = await serve(async (request, response) => {
    if (++requests === newerFrom) version++;
    const etag = `"${version}"`;
    if (request.headers['if-none-match'] === etag) return response.writeHead(304).end();
    const content = contentOf(version);
    response.writeHead(200, { etag, 'content-length': content.length });
    for (let begin = 0; begin < content.length; begin += 1 << 13)
      await new Promise((resolve) => response.write(content.subarray(begin, begin + (1 << 13)), resolve));
    response.end();
  });
  const path = join(temporaryFolder(), 'child.mjs');
  writeFileSync(path, program);
  const children = Array.from({ length: 8 }, () => fork(path, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] }));
  t.after(() => children.forEach((child) => child.kill()));
  let warned = '';
  for (const child of children) child.stderr.setEncoding('utf8').on('data', (text) => (warned += text));
  await Promise.all(children.map((child) => once(child, 'message')));

  for (let round = 0; round < 50; round++) {
    if (round % 3 === 0) rmSync(folder, { recursive: true, force: true });
    const old = version;
    requests = 0;
    newerFrom = 1 + (round % 8);
    const answers = children.map((child) => once(child, 'message'));
    for (const child of children) child.send(`${address}/weights`);
    for (const [{ version, whole }] of await Promise.all(answers)) {
      assert.ok(whole);
      assert.ok(version === old || version === old + 1, `${version} after ${old}`);
    }
    const names = readdirSync(folder);
    assert.ok(
      names.every((name) => /^[0-9a-f]{64}\.(json|weights)$/.test(name)),
      `${names}`,
    );
    assert.equal(names.filter((name) => name.endsWith('.json')).length, 1);
    const [now] = (await loadStateDict(`${address}/weights`)).get('weight').data;
    assert.equal(now, version);
  }
  assert.equal(warned, '');
});
