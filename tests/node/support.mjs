// What tests share: weights files of our own making, a web server, and errors by their codes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TransformStream } from 'node:stream/web';
import { after } from 'node:test';

/** The bytes of a safetensors file. `tensors`: name → { shape, data: Float32Array }. */
export function safetensors(tensors) {
  const sizes = [...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, size: data.byteLength }]);
  const chunks = [...tensors.values()].map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return new Uint8Array(Buffer.concat([safetensorsHead(sizes), ...chunks]));
}

/** What comes before the data of tensors [name, { shape, size in bytes }]. */
export function safetensorsHead(tensors) {
  const header = Object.create(null);
  let end = 0;
  for (const [name, { dtype = 'F32', shape, size }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, (end += size)] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}

/** Made-up weights of the names and shapes of `model`, small enough to keep activations near one. */
export function weightsOf(model, seed = 1) {
  let state = seed;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const tensors = new Map();
  for (const [name, { dtype, shape }] of model.parameters()) {
    if (dtype !== 'float32') continue; // num_batches_tracked: may be missing
    const size = shape.reduce((a, b) => a * b, 1);
    const scale = shape.length > 1 ? 2 / Math.sqrt(size / shape[0]) : 0.1;
    const offset = shape.length === 1 && /(weight|var)$/.test(name) ? 1 : 0;
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => offset + scale * next()) });
  }
  return tensors;
}

/** Images [1, channels, size, size] that are not constant. */
export function images(channels, size = 64) {
  const data = Float32Array.from(
    { length: channels * size * size },
    (_, i) => Math.sin(i * 0.37) + Math.cos(i * 0.011),
  );
  return { data, shape: [1, channels, size, size] };
}

/** A server on localhost that lives as long as the test file. Gives its address. */
export async function serve(handler) {
  // A kept connection must not time out while the test's own work holds the thread.
  const server = createServer({ keepAliveTimeout: 0 }, handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** An empty folder that lives as long as the test file. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'wimm-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Asserts that `work` rejects with a WimmError of one of these codes, and gives the error. */
export async function rejects(work, codes, pattern = /./s) {
  const error = await Promise.resolve()
    .then(typeof work === 'function' ? work : () => work)
    .then(
      () => assert.fail(`expected ${codes}`),
      (error) => error,
    );
  assert.ok([codes].flat().includes(error.code), `expected ${codes}, got ${error.code}: ${error.stack}`);
  assert.match(error.message, pattern);
  return error;
}

/**
 * A `fetch` that gives what the server at `origin` has of an address elsewhere, as from there. The body is piped on, so that it
 * is in use: Node.js 20 ends that of a response that nobody holds any more.
 */
export function fetchFrom(origin) {
  const { fetch: download } = globalThis;
  return async (address, init) => {
    const { body, status, headers } = await download(origin + new URL(address).pathname, init);
    return new Response(body.pipeThrough(new TransformStream()), { status, headers });
  };
}
