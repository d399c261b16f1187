// A file that its own head shows to be of no use is refused before it has been received.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';

import { createModel, loadStateDict } from 'wimm';

import { images, rejects, safetensors, serve, temporaryFolder, weightsOf } from './support.mjs';

const model = 'test_resnet';
const template = await createModel(model, { threads: 1 });
const weights = weightsOf(template);
template.dispose();
const good = safetensors(weights);

/** The head of a safetensors file that has these tensors, without their data. */
function headOf(tensors) {
  const header = {};
  let end = 0;
  for (const [name, shape] of Object.entries(tensors)) {
    const bytes = shape.reduce((count, size) => count * size, 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, (end += bytes)] };
  }
  const text = Buffer.from(JSON.stringify(header).padEnd(600));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return { head: Buffer.concat([length, text]), size: 8 + text.length + end };
}

const ofModel = Object.fromEntries([...weights].map(([name, { shape }]) => [name, shape]));
const large = headOf({ ...ofModel, 'fc.weight': [1 << 20, 512] }); // 2 GiB
const beyond = headOf({ ...ofModel, 'fc.weight': [1 << 22, 512] }); // 8 GiB

/** What the server sends before it waits for its client to leave: `head`, with the length `size`, or with none. */
let sent = { head: Buffer.alloc(0), size: undefined };
let left;
const address = await serve((_, response) => {
  response.on('close', left);
  response.writeHead(200, sent.size === undefined ? {} : { 'content-length': sent.size });
  response.write(sent.head);
});

beforeEach(() => (process.env.XDG_CACHE_HOME = temporaryFolder()));

/** Asserts that what `load` fetches is refused by its head, that the server is told, and that nothing is kept. */
async function refused(what, load, codes, pattern) {
  sent = what;
  const closed = new Promise((resolve) => (left = resolve));
  const error = await rejects(load(`${address}/weights`), codes, pattern);
  await closed;
  const folder = join(process.env.XDG_CACHE_HOME, 'wimm', 'v1');
  assert.deepEqual(existsSync(folder) ? readdirSync(folder) : [], []);
  return error;
}
const create = (options) => (url) => createModel(model, { weights: url, threads: 1, ...options });

test('a length beyond maxBytes is refused before any of the body', async () => {
  for (const cache of [true, false]) {
    const nothing = { head: Buffer.alloc(0), size: 10_000 };
    await refused(nothing, create({ cache, maxBytes: 9_999 }), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
    await refused(nothing, (url) => loadStateDict(url, { cache, maxBytes: 9_999 }), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
  }
});

test('where there is no length, the header of safetensors tells it', async () => {
  const unsized = { head: beyond.head };
  await refused(unsized, create(), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
  await refused(unsized, (url) => loadStateDict(url), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
  await refused({ head: large.head }, create({ maxBytes: 2 ** 31 }), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
});

test('tensors that are too large for the model are refused by the header [D13]', async () => {
  for (const cache of [true, false]) {
    for (const what of [large, { head: large.head }]) {
      const { details } = await refused(what, create({ cache }), 'ERR_STATE_DICT_MISMATCH', /fc\.weight/);
      assert.equal(details.mismatched.length, 1);
    }
  }
});

test('a header that lies about the file is refused by itself', async () => {
  await refused({ ...large, size: large.size + 1 }, create(), 'ERR_FORMAT_CORRUPT');
  await refused({ ...large, size: large.size - 1 }, create(), 'ERR_FORMAT_TRUNCATED');
  const length = Buffer.alloc(1000, ' ');
  length.write('{', 8);
  for (const claim of [100_000_001n, 2n ** 63n, 2n ** 64n - 8n]) {
    length.writeBigUInt64LE(claim);
    await refused({ head: length, size: 2 ** 31 }, create(), ['ERR_LIMIT_EXCEEDED', 'ERR_FORMAT_TRUNCATED']);
  }
});

test('a model that no memory can hold is refused whatever its file [D13]', async () => {
  const silent = new ReadableStream();
  const load = createModel('resnet50', { weights: silent, numClasses: 1_000_000, threads: 1 });
  await rejects(load, 'ERR_OUT_OF_MEMORY', /parameters/);
});

test('a stream is refused by its head, and cancelled', async () => {
  let cancelled = false;
  const stream = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(large.head)),
    cancel: () => void (cancelled = true),
  });
  await rejects(create()(stream), 'ERR_STATE_DICT_MISMATCH', /fc\.weight/);
  assert.equal(cancelled, true);
});

test('a file whose head comes in pieces loads', async () => {
  const expected = await create()(good);
  for (const size of [1, 7, 511, 512, 513, 4096]) {
    const pieces = [];
    const end = 20_000;
    for (let at = 0; at < end; at += size) pieces.push(good.subarray(at, Math.min(at + size, end)));
    const stream = ReadableStream.from([...pieces, good.subarray(end)]);
    const loaded = await create()(stream);
    assert.deepEqual(await loaded.forward(images(3)), await expected.forward(images(3)));
    loaded.dispose();
  }
  expected.dispose();
});

test('of two that share a download, the one that its head does not suit leaves it to the other', async () => {
  const halves = [good.subarray(0, good.length / 2), good.subarray(good.length / 2)];
  let finish;
  const sharing = await serve((_, response) => {
    response.writeHead(200, { 'content-length': good.length }).write(halves[0]);
    finish = () => response.end(halves[1]);
  });
  const url = `${sharing}/weights`;
  const fits = createModel(model, { weights: url, threads: 1 });
  await rejects(createModel('test_efficientnet', { weights: url, threads: 1 }), 'ERR_STATE_DICT_MISMATCH');
  finish();
  (await fits).dispose();
});
