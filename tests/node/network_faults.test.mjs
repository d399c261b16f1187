// Servers that lie, break off, change their minds or fall silent: an error that says so, and nothing kept of what they sent.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, beforeEach, mock, test } from 'node:test';
import { setImmediate as nextTask } from 'node:timers/promises';
import { deflateSync, gzipSync } from 'node:zlib';

import { loadStateDict } from 'wimm';

import { rejects, safetensors, serve, temporaryFolder } from './support.mjs';

const data = Float32Array.from({ length: 1 << 14 }, (_, i) => i);
const bytes = safetensors(new Map([['weight', { shape: [data.length], data }]]));

let answer;
let requests = [];
const host = await serve((request, response) => {
  requests.push(request);
  answer(request, response);
});

/** A server that sends these bytes to whoever connects, and closes. Gives its address. */
async function serveRaw(...parts) {
  const server = createServer((socket) =>
    socket.on('error', () => {}).once('data', () => socket.end(Buffer.concat(parts))),
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

const caches = temporaryFolder();
let cache;
const clearCache = () => (cache = process.env.XDG_CACHE_HOME = mkdtempSync(join(caches, 'x')));
beforeEach(() => {
  requests = [];
  clearCache();
});

const load = async (address = host, options = {}) =>
  (await loadStateDict(`${address}/weights`, options)).get('weight').data;

/** Asserts that loading fails so, and that no file stays. Gives the error. */
async function fails(codes, { address, options, pattern } = {}) {
  const error = await rejects(load(address, options), codes, pattern);
  const left = readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(left, []);
  return error;
}

test('a status that is no success is told, and whether to try again [N01]', async () => {
  for (const [status, retryable] of Object.entries({
    401: false,
    403: false,
    404: false,
    410: false,
    408: true,
    429: true,
    500: true,
    503: true,
  })) {
    answer = (_, response) => response.writeHead(Number(status), { 'retry-after': '1' }).end('no');
    const error = await fails('ERR_HTTP_STATUS');
    assert.equal(error.retryable, retryable, status);
    assert.deepEqual(error.details, { status: Number(status), url: `${host}/weights` });
  }
});

test('text with status 200 is not taken for weights, and said to be what it is [N02, N03]', async () => {
  for (const [text, pattern] of [
    ['<!DOCTYPE html><title>Log in</title>', /HTML/],
    ['<html>\n<head></head>', /HTML/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', /Git LFS pointer/],
  ]) {
    answer = (_, response) => response.end(text);
    await fails('ERR_FORMAT_UNKNOWN', { pattern });
  }
});

test('a body that breaks off at any tenth is a network error, and may be tried again [N04, N09]', async () => {
  for (const end of ['destroy', 'resetAndDestroy']) {
    for (const known of [true, false]) {
      for (let tenths = 0; tenths < 10; tenths++) {
        answer = (request, response) => {
          response.writeHead(200, known ? { 'content-length': bytes.length } : {});
          response.write(bytes.subarray(0, (bytes.length * tenths) / 10), () => request.socket[end]());
        };
        assert.equal((await fails('ERR_NETWORK')).retryable, true);
      }
    }
  }
});

test('what is compressed on its way is what it was, once or twice; what breaks off in it is an error [N05]', async () => {
  for (const [encoding, body] of [
    ['gzip', gzipSync(bytes)],
    ['deflate', deflateSync(bytes)],
    ['gzip, gzip', gzipSync(gzipSync(bytes))],
  ]) {
    answer = (_, response) =>
      response.writeHead(200, { 'content-encoding': encoding, 'content-length': body.length }).end(body);
    assert.deepEqual(await load(host, { cache: false }), data, encoding);
  }
  const body = gzipSync(bytes).subarray(0, -1000);
  answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
  await fails(['ERR_NETWORK', 'ERR_FORMAT_TRUNCATED', 'ERR_FORMAT_CORRUPT']);
  answer = (_, response) => response.end(gzipSync(bytes)); // says nothing of it
  await fails('ERR_FORMAT_UNKNOWN');
});

test('a length that is missing is not needed, and one that lies is found out [N06]', async () => {
  const head = (length) => Buffer.from(`HTTP/1.1 200 OK\r\nConnection: close\r\n${length}\r\n`);
  assert.deepEqual(await load(await serveRaw(head(''), bytes)), data);
  clearCache();
  for (const length of [0, 10, bytes.length - 1, bytes.length + 1, 2 ** 40, '9007199254740992', -1, 'many']) {
    const address = await serveRaw(head(`Content-Length: ${length}\r\n`), bytes);
    await fails(
      ['ERR_NETWORK', 'ERR_FORMAT_TRUNCATED', 'ERR_FORMAT_CORRUPT', 'ERR_FORMAT_UNKNOWN', 'ERR_LIMIT_EXCEEDED'],
      {
        address,
      },
    );
  }
});

test('a server may be slow for ever, but not silent [N10]', async () => {
  await load(await serveRaw(Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'), bytes)); // the engine is there
  mock.timers.enable({ apis: ['setTimeout'] });
  const dripping = (chunks) => {
    let sent = 0;
    return new ReadableStream(
      {
        async pull(controller) {
          await nextTask(); // so that the reader waits
          mock.timers.tick(sent === chunks ? 1000 : 900);
          if (sent === chunks) return;
          const part = Math.ceil(bytes.length / 20);
          controller.enqueue(bytes.slice(part * sent, part * ++sent));
          if (sent === 20) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  };
  try {
    assert.deepEqual((await loadStateDict(dripping(20), { idleTimeout: 1000 })).get('weight').data, data);
    const { retryable } = await rejects(loadStateDict(dripping(7), { idleTimeout: 1000 }), 'ERR_TIMEOUT');
    assert.equal(retryable, true);
  } finally {
    mock.timers.reset();
  }
});

test('a file is never spliced of two: what answers the rest of a download must be its rest [N12]', async () => {
  const half = bytes.length >> 1;
  const etag = '"one"';
  const rest = {
    etag,
    'content-length': bytes.length - half,
    'content-range': `bytes ${half}-${bytes.length - 1}/${bytes.length}`,
  };
  let socket;
  const onProgress = ({ loaded }) => loaded === half && socket.destroy();
  const halfOf = (request, response) => {
    ({ socket } = request);
    response.writeHead(200, { etag, 'content-length': bytes.length }).write(bytes.subarray(0, half));
  };
  for (const [status, headers, body] of [
    [200, { etag, 'content-length': bytes.length }, bytes],
    [206, { ...rest, etag: '"two"' }, bytes.subarray(half)],
    [206, { ...rest, 'content-range': `bytes 0-${half - 1}/${bytes.length}` }, bytes.subarray(half)],
    [206, { ...rest, 'content-range': `bytes ${half}-${bytes.length}/${bytes.length + 1}` }, bytes.subarray(half)],
    [206, { ...rest, 'content-length': 10 }, bytes.subarray(half, half + 10)],
    [416, { 'content-range': `bytes */${bytes.length}` }, ''],
    [404, {}, 'gone'],
  ]) {
    requests = [];
    answer = (request, response) =>
      request.headers.range ? response.writeHead(status, headers).end(body) : halfOf(request, response);
    await fails(['ERR_NETWORK', 'ERR_HTTP_STATUS'], { options: { onProgress } });
    assert.equal(requests[1].headers.range, `bytes=${half}-`);
  }
  answer = (request, response) =>
    request.headers.range ? response.writeHead(206, rest).end(bytes.subarray(half)) : halfOf(request, response);
  assert.deepEqual(await load(host, { onProgress }), data);
});

test('redirects that never end, or leave the web, are refused [N13]', async () => {
  for (const location of ['/weights', 'data:text/plain,x', 'file:///etc/passwd', 'ftp://127.0.0.1/x', 'http://']) {
    answer = (_, response) => response.writeHead(302, { location }).end();
    await fails('ERR_NETWORK');
  }
  assert.ok(requests.length < 50);
  const unsafe = async () => Object.defineProperty(new Response(bytes), 'url', { value: 'http://127.0.0.1/weights' });
  await rejects(
    loadStateDict('https://127.0.0.1/weights', { fetch: unsafe, cache: false }),
    'ERR_NETWORK',
    /not secure/,
  );
});
