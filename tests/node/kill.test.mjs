// Processes that are killed while they write the cache leave nothing that harms, or stays.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadStateDict } from 'wimm';

import { safetensors, serve, temporaryFolder } from './support.mjs';

const data = Float32Array.from({ length: 1 << 20 }, (_, i) => i);
const bytes = safetensors(new Map([['weight', { shape: [data.length], data }]]));
const chunk = 1 << 16;

process.env.XDG_CACHE_HOME = temporaryFolder();
const folder = join(process.env.XDG_CACHE_HOME, 'wimm', 'v1');

/** Called with the bytes sent so far, before each further chunk. */
let onChunk = () => {};
const address = await serve(async (_, response) => {
  response.writeHead(200, { 'content-length': bytes.length });
  const closed = once(response, 'close');
  for (let sent = 0; sent < bytes.length && !response.destroyed; sent += chunk) {
    onChunk(sent);
    await Promise.race([closed, new Promise((resolve) => response.write(bytes.subarray(sent, sent + chunk), resolve))]);
  }
  response.end();
  onChunk(bytes.length);
});

const program = `
  import { loadStateDict } from 'wimm';
  setInterval(() => {}, 1e6); // it does not end by itself
  await loadStateDict('${address}/weights');`;

/** Starts a process that loads the weights, and kills it so long after it was sent so many bytes. */
async function loadAndKill(sentBytes, milliseconds) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
  let timer;
  onChunk = (sent) => {
    if (sent >= sentBytes) timer ??= setTimeout(() => child.kill('SIGKILL'), milliseconds);
  };
  const [, signal] = await once(child, 'close');
  onChunk = () => {};
  assert.equal(signal, 'SIGKILL');
}

test('after a process was killed at any time, the next loads, and no temporary file stays [K04]', async () => {
  const rounds = 40;
  for (let round = 0; round < rounds; round++) {
    // Half of them during the download, half while it is hashed, renamed and recorded.
    const part = Math.min(1, (2 * round) / rounds);
    const after = Math.max(0, 2 * (round - rounds / 2));
    await loadAndKill(part * bytes.length, after);
    const loaded = await loadStateDict(`${address}/weights`);
    assert.deepEqual(loaded.get('weight').data, data);
    const names = readdirSync(folder);
    assert.ok(
      names.every((name) => /^[0-9a-f]{64}\.(json|weights)$/.test(name)),
      `${names}`,
    );
    assert.equal(names.length, 2);
    for (const name of names) if (name.endsWith('.json') || round % 2) rmSync(join(folder, name));
  }
});
