// Pretrained weights come from a hub, here a local one: found, refused, interrupted, cached.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { createModel, loadStateDict } from 'wimm';

import { images, rejects, safetensors, serve, temporaryFolder, weightsOf } from './support.mjs';

const template = await createModel('resnet18', { threads: 1 });
const bytes = safetensors(weightsOf(template));
template.dispose();
const otherBytes = bytes.slice();
otherBytes.fill(0, bytes.length - 4000);
const digestOf = (content) => createHash('sha256').update(content).digest('hex');

const repository = '/timm/resnet18.a1_in1k/resolve/main';
const good = (content) => (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
const status = (code, headers) => (_, response) => response.writeHead(code, headers).end('no');

/** What the hub does for a path; it is absent otherwise. */
let routes = {};
let requests = [];
const hub = await serve((request, response) => {
  requests.push(request.url);
  (routes[request.url] ?? status(404))(request, response);
});

let cacheHome;
beforeEach(() => {
  requests = [];
  routes = { [`${repository}/model.safetensors`]: good(bytes) };
  cacheHome = process.env.XDG_CACHE_HOME = temporaryFolder();
});
const cacheFolder = () => join(cacheHome, 'wimm', 'v1');
const cached = () => (existsSync(cacheFolder()) ? readdirSync(cacheFolder()) : []);
const dataFile = () =>
  join(
    cacheFolder(),
    cached().find((name) => name.endsWith('.weights')),
  );

async function load(options) {
  const model = await createModel('resnet18', { pretrained: true, hub, threads: 1, ...options });
  try {
    return (await model.forward(images(3))).data;
  } finally {
    model.dispose();
  }
}

test('model.safetensors is taken first, and one download is enough', async () => {
  const progress = [];
  const first = await load({ onProgress: (step) => step.stage === 'download' && progress.push(step) });
  assert.deepEqual(requests, [`${repository}/model.safetensors`]);
  assert.deepEqual(progress.at(-1), {
    stage: 'download',
    loaded: bytes.length,
    total: bytes.length,
    file: `${hub}${repository}/model.safetensors`,
  });
  assert.equal(cached().length, 2);
  assert.ok(
    cached().every((name) => /^[0-9a-f]{64}\.(json|weights)$/.test(name)),
    `${cached()}`,
  );
  assert.deepEqual(await load(), first);
  assert.equal(requests.length, 1);
});

test('where the hub has no safetensors, it is pytorch_model.bin', async () => {
  routes = { [`${repository}/pytorch_model.bin`]: good(bytes) };
  await load();
  assert.deepEqual(
    requests.map((url) => url.split('/').at(-1)),
    ['model.safetensors', 'pytorch_model.bin'],
  );
  await load();
  assert.equal(requests.length, 2);
});

test('a hub that has neither says so, once everything was tried', async () => {
  routes = {};
  const blocked = (url, init) => (url.startsWith(hub) ? fetch(url, init) : Promise.reject(new TypeError('offline')));
  await rejects(load({ fetch: blocked }), ['ERR_HTTP_STATUS', 'ERR_NETWORK']);
  assert.equal(requests.length, 2);
});

test('a model without weights says so', async () => {
  await rejects(createModel('resnet18d_nothing', { pretrained: true, hub }), 'ERR_UNKNOWN_MODEL');
  await rejects(createModel('seresnet18', { pretrained: true, hub }), 'ERR_NO_PRETRAINED');
});

test('a server that fails is an error that says whether to try again [N01]', async () => {
  for (const [code, retryable] of [
    [403, false],
    [429, true],
    [500, true],
    [503, true],
  ]) {
    routes = { [`${repository}/model.safetensors`]: status(code, { 'retry-after': '1' }) };
    const error = await rejects(load(), 'ERR_HTTP_STATUS');
    assert.equal(error.retryable, retryable);
    assert.deepEqual(error.details, { status: code, url: `${hub}${repository}/model.safetensors` });
  }
  assert.deepEqual(cached(), []);
});

test('a page in place of weights is never kept [N02]', async () => {
  routes = { [`${repository}/model.safetensors`]: good(Buffer.from('<!doctype html><title>Log in</title>')) };
  await rejects(load(), 'ERR_FORMAT_UNKNOWN', /HTML/);
  assert.deepEqual(cached(), []);
  routes = { [`${repository}/model.safetensors`]: good(bytes) };
  await load();
});

test('a body that ends early, or a connection that closes, is a network error [N04, N09]', async () => {
  for (const part of [0, 0.1, 0.5, 0.99]) {
    routes[`${repository}/model.safetensors`] = (_, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length * part), () => setTimeout(() => response.destroy(), 20));
    };
    const { retryable } = await rejects(load(), 'ERR_NETWORK');
    assert.equal(retryable, true);
    assert.deepEqual(cached(), []);
  }
  await rejects(load({ hub: 'http://127.0.0.1:1' }), 'ERR_NETWORK');
});

test('a download goes on where a connection broke, while the server has the same content [N12]', async () => {
  let etag = '"one"';
  const ranges = [];
  const cut = Math.ceil(bytes.length / 4);
  routes[`${repository}/model.safetensors`] = (request, response) => {
    ranges.push(request.headers.range);
    const start = Number(/\d+/.exec(request.headers.range ?? '0')[0]);
    const rest = bytes.subarray(start);
    const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start ? 206 : 200, { etag, 'content-length': rest.length, ...(start && range) });
    response.write(rest.subarray(0, cut), () =>
      rest.length > cut ? setTimeout(() => response.destroy(), 20) : response.end(),
    );
  };
  const resumed = await load();
  assert.ok(ranges.length > 1 && ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range)), `${ranges}`);
  process.env.XDG_CACHE_HOME = cacheHome = temporaryFolder();
  const whole = routes[`${repository}/model.safetensors`];
  routes[`${repository}/model.safetensors`] = good(bytes);
  assert.deepEqual(await load(), resumed);

  process.env.XDG_CACHE_HOME = cacheHome = temporaryFolder();
  let count = 0;
  routes[`${repository}/model.safetensors`] = (request, response) => {
    if (count++ > 0) etag = '"two"';
    whole(request, response);
  };
  await rejects(load(), 'ERR_NETWORK', /changed/);
  assert.deepEqual(cached(), []);
});

test('a body without a length, or compressed on its way, loads [N05, N06]', async () => {
  routes[`${repository}/model.safetensors`] = (_, response) => {
    response.writeHead(200);
    response.write(bytes.subarray(0, 100));
    response.end(bytes.subarray(100));
  };
  await load({ cache: false });
  const compressed = gzipSync(bytes, { level: 1 });
  routes[`${repository}/model.safetensors`] = (_, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': compressed.length }).end(compressed);
  await load({ cache: false });
  routes[`${repository}/model.safetensors`] = good(compressed);
  await rejects(load(), 'ERR_FORMAT_UNKNOWN');
});

test('an endless body ends at maxBytes [N07]', async () => {
  let closed = false;
  routes[`${repository}/model.safetensors`] = (_, response) => {
    const zeros = Buffer.alloc(65536);
    const more = () => void (!closed && response.write(zeros, more));
    response.on('close', () => (closed = true)).writeHead(200);
    more();
  };
  await rejects(load({ maxBytes: 10_000_000 }), 'ERR_LIMIT_EXCEEDED');
  while (!closed) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(cached(), []);
});

test('a server that falls silent is given up [N10]', async () => {
  routes[`${repository}/model.safetensors`] = (_, response) => response.writeHead(200).write('x');
  const error = await rejects(load({ idleTimeout: 50 }), 'ERR_TIMEOUT');
  assert.equal(error.retryable, true);
  routes[`${repository}/model.safetensors`] = () => {};
  await rejects(load({ idleTimeout: 50 }), 'ERR_TIMEOUT');
});

test('a load can be aborted at any time, and leaves nothing [N11]', async () => {
  for (const part of [0, 0.2, 0.7]) {
    const controller = new AbortController();
    let closed;
    const connectionClosed = new Promise((resolve) => (closed = resolve));
    routes[`${repository}/model.safetensors`] = (_, response) => {
      response.on('close', closed).writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length * part), () => setTimeout(() => controller.abort(), 20));
    };
    await rejects(load({ signal: controller.signal }), 'ERR_ABORTED');
    await connectionClosed;
    assert.deepEqual(cached(), []);
  }
  routes[`${repository}/model.safetensors`] = good(bytes);
  const late = new AbortController();
  await load({ signal: late.signal });
  late.abort();
});

test('two loads of one address share a download; one that is aborted leaves it to the other [N15]', async () => {
  let sendRest;
  routes[`${repository}/model.safetensors`] = (_, response) => {
    response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 100_000));
    sendRest = () => response.end(bytes.subarray(100_000));
  };
  const downloading = () => {
    let onProgress;
    const begun = new Promise(
      (resolve) => (onProgress = ({ stage, loaded }) => stage === 'download' && loaded > 0 && resolve()),
    );
    return { begun, onProgress };
  };
  const [first, second] = [downloading(), downloading()];
  const controller = new AbortController();
  const aborted = rejects(load({ signal: controller.signal, onProgress: first.onProgress }), 'ERR_ABORTED');
  const loaded = load({ onProgress: second.onProgress });
  await Promise.all([first.begun, second.begun]);
  controller.abort();
  await aborted;
  sendRest();
  await loaded;
  assert.equal(requests.length, 1);
  assert.equal(cached().length, 2);
});

test('an entry with an ETag is verified, and replaced when the server has another', async () => {
  let etag = '"one"';
  const seen = [];
  routes[`${repository}/model.safetensors`] = (request, response) => {
    seen.push(request.headers['if-none-match']);
    if (request.headers['if-none-match'] === etag) return response.writeHead(304).end();
    const content = etag === '"one"' ? bytes : otherBytes;
    return response.writeHead(200, { etag, 'content-length': content.length }).end(content);
  };
  const first = await load();
  assert.deepEqual(await load(), first);
  etag = '"two"';
  const second = await load();
  assert.notDeepEqual(second, first);
  assert.deepEqual(seen, [undefined, '"one"', '"one"']);
  routes = {};
  routes[`${repository}/model.safetensors`] = (request) => request.socket.destroy();
  assert.deepEqual(await load(), second);
});

test('data that an entry has named stays for a day after it was replaced, and no longer', async () => {
  const versions = [1, 2, 3].map((value) =>
    safetensors(new Map([['weight', { shape: [1], data: Float32Array.of(value) }]])),
  );
  const path = `${repository}/one.safetensors`;
  const loadAfterYears = async (content) => {
    for (const name of cached()) utimesSync(join(cacheFolder(), name), 0, 0);
    const etag = `"${digestOf(content)}"`;
    routes[path] = (_, response) => response.writeHead(200, { etag, 'content-length': content.length }).end(content);
    await loadStateDict(`${hub}${path}`);
  };
  const data = () => new Set(cached().filter((name) => name.endsWith('.weights')));
  const namesOf = (...contents) => new Set(contents.map((content) => `${digestOf(content)}.weights`));
  const [first, second, third] = versions;
  await loadAfterYears(first);
  assert.deepEqual(data(), namesOf(first));
  await loadAfterYears(second);
  assert.deepEqual(data(), namesOf(first, second));
  await loadAfterYears(third);
  assert.deepEqual(data(), namesOf(second, third));
});

test('an entry without an ETag is verified by its date', async () => {
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
  const seen = [];
  routes[`${repository}/model.safetensors`] = (request, response) => {
    seen.push(request.headers['if-modified-since']);
    if (seen.length > 1) return response.writeHead(304).end();
    return response.writeHead(200, { 'last-modified': date, 'content-length': bytes.length }).end(bytes);
  };
  assert.deepEqual(await load(), await load());
  assert.deepEqual(seen, [undefined, date]);
});

test('a damaged entry is downloaded again [K02, K07, K09]', async (context) => {
  const expected = await load();
  context.mock.method(console, 'warn', () => {});
  for (const damage of [
    () => rmSync(dataFile()),
    () => truncateSync(dataFile(), 1000),
    () => writeFileSync(dataFile(), Buffer.alloc(bytes.length)),
    () => writeFileSync(dataFile(), readFileSync(dataFile()).fill(7, 5000, 5001)),
    () =>
      writeFileSync(
        join(
          cacheFolder(),
          cached().find((name) => name.endsWith('.json')),
        ),
        '{"sha256":"../../x"}',
      ),
    () =>
      writeFileSync(
        join(
          cacheFolder(),
          cached().find((name) => name.endsWith('.json')),
        ),
        '',
      ),
  ]) {
    damage();
    requests = [];
    assert.deepEqual(await load(), expected);
    assert.equal(requests.length, 1);
  }
});

test('without a folder that can be written, weights load uncached [K01, K08]', async (context) => {
  const warn = context.mock.method(console, 'warn', () => {});
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  process.env.XDG_CACHE_HOME = file;
  await load();
  process.env.XDG_CACHE_HOME = join(temporaryFolder(), 'x'.repeat(300));
  await load();
  assert.match(warn.mock.calls[0].arguments[0], /ERR_CACHE_QUOTA/);
  if (process.getuid?.() === 0) return; // root may write anywhere
  const readOnly = temporaryFolder();
  chmodSync(readOnly, 0o500);
  process.env.XDG_CACHE_HOME = readOnly;
  await load();
});

test('what processes that died have left is swept [K04]', async () => {
  mkdirSync(cacheFolder(), { recursive: true });
  const stale = join(cacheFolder(), 'stale.tmp');
  const recent = join(cacheFolder(), 'recent.tmp');
  writeFileSync(stale, 'x');
  writeFileSync(recent, 'x');
  utimesSync(stale, 0, 0);
  await load();
  assert.equal(existsSync(stale), false);
  assert.equal(existsSync(recent), true);
});

test("a store of one's own is used [K07]", async () => {
  const entries = new Map();
  const cache = {
    match: async (url) => entries.get(url)?.clone(),
    put: async (url, response) => void entries.set(url, response),
  };
  const first = await load({ cache });
  assert.deepEqual([...entries.keys()], [`${hub}${repository}/model.safetensors`]);
  assert.deepEqual(await load({ cache }), first);
  assert.equal(requests.length, 1);
  assert.deepEqual(cached(), []);
  entries.set([...entries.keys()][0], new Response('damaged', { headers: { 'x-wimm-checksum': '0'.repeat(16) } }));
  assert.deepEqual(await load({ cache }), first);
});

test('a digest that differs fails closed [N14]', async () => {
  const integrity = `sha256-${digestOf(bytes)}`;
  await load({ integrity });
  process.env.XDG_CACHE_HOME = cacheHome = temporaryFolder();
  routes[`${repository}/model.safetensors`] = good(otherBytes);
  await rejects(load({ integrity }), 'ERR_INTEGRITY');
  assert.deepEqual(cached(), []);
});

test('no message holds credentials [N16, R28]', async () => {
  const weights = `${hub}/weights?token=secret`;
  const { message, details } = await rejects(load({ weights }), 'ERR_HTTP_STATUS');
  assert.doesNotMatch(message + JSON.stringify(details), /secret/);
});

test("a fetch of one's own is used, and must give a Response", async () => {
  const urls = [];
  const expected = await load();
  const own = async (url, { signal }) => {
    urls.push(url);
    assert.equal(signal.aborted, false);
    return new Response(bytes);
  };
  assert.deepEqual(await load({ fetch: own, cache: false }), expected);
  assert.deepEqual(urls, [`${hub}${repository}/model.safetensors`]);
  for (const nonsense of [undefined, {}, { status: 200, headers: new Map(), body: 'text' }]) {
    await rejects(load({ fetch: async () => nonsense, cache: false }), 'ERR_INVALID_ARGUMENT', /fetch/);
  }
  const throwing = () => {
    throw new Error('boo');
  };
  assert.equal((await rejects(load({ fetch: throwing, cache: false }), 'ERR_NETWORK')).cause.message, 'boo');
});

test('pretrained weights adapt to any number of channels', async () => {
  for (const inChans of [1, 25]) {
    const model = await createModel('resnet18', { pretrained: true, hub, inChans, threads: 1 });
    assert.deepEqual((await model.forward(images(inChans))).shape, [1, 1000]);
    model.dispose();
  }
});
