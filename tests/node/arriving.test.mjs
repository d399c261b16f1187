// A file that is read while it arrives: in pieces of any size, which are let go once they are of no more use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';

import { importSource } from './import_source.mjs';

const { ArrivingSource, runMeanwhile, sendPieces, streamOf, WimmError } = await importSource([
  'engine/arriving.ts',
  'engine/pieces.ts',
  'engine/slices.ts',
  'errors.ts',
]);

const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => (i * i) % 251);
bytes.set(new TextEncoder().encode('{}'.padEnd(600)), 8);
new DataView(bytes.buffer).setBigUint64(0, 600n, true); // a head as of safetensors: 608 bytes

/** The bytes in pieces of these sizes, over and over; the stream fails after `end` of them. */
function piecesOf(sizes, end = bytes.length) {
  let [offset, turn] = [0, 0];
  return new ReadableStream({
    pull(controller) {
      if (offset === end) {
        if (end < bytes.length) controller.error(new WimmError('ERR_NETWORK', 'it broke'));
        else controller.close();
        return;
      }
      const size = sizes[turn++ % sizes.length];
      controller.enqueue(bytes.slice(offset, Math.min(offset + size, end)));
      offset = Math.min(offset + size, end);
    },
  });
}

function read(source, offset, length) {
  const target = new Uint8Array(length);
  source.read(offset, target);
  return target;
}

test('what has come can be read at any place, across pieces', async () => {
  for (const sizes of [[1], [3, 1, 700], [4096], [100_000]]) {
    const received = [];
    const source = new ArrivingSource(bytes.length, piecesOf(sizes), (count) => received.push(count));
    await source.untilOpen();
    assert.ok(source.received >= 608 && source.received < 608 + Math.max(...sizes), `${source.received}`);
    await source.until(5000);
    assert.deepEqual(read(source, 0, 5000), bytes.slice(0, 5000));
    await source.until(bytes.length);
    assert.deepEqual(read(source, 4321, 5000), bytes.slice(4321, 9321));
    assert.deepEqual(read(source, 9999, 1), bytes.slice(9999));
    assert.equal(received.at(-1), bytes.length);
  }
});

test('a file without a head is open once it is whole', async () => {
  const source = new ArrivingSource(5000, new Blob([bytes.subarray(5000)]).stream());
  await source.untilOpen();
  assert.equal(source.received, 5000);
});

test('what was dropped is let go, and the rest can be read', async () => {
  const source = new ArrivingSource(bytes.length, piecesOf([1000]));
  await source.until(6000);
  source.drop(3500);
  assert.deepEqual(read(source, 3000, 3000), bytes.slice(3000, 6000));
  assert.throws(() => read(source, 2999, 1));
  source.drop(0);
  await source.until(bytes.length);
  assert.deepEqual(read(source, 3000, 7000), bytes.slice(3000));
});

test('a file that ends early, or breaks, is an error', async () => {
  const short = new ArrivingSource(bytes.length + 1, piecesOf([1000]));
  await assert.rejects(short.until(bytes.length + 1), { code: 'ERR_FORMAT_TRUNCATED' });
  const broken = new ArrivingSource(bytes.length, piecesOf([1000], 4500));
  await assert.rejects(broken.until(bytes.length), { code: 'ERR_NETWORK' });
  assert.equal(broken.received, 4500);
});

test('pieces go through a port, and so does what goes wrong', async () => {
  for (const end of [bytes.length, 4500]) {
    const { port1, port2 } = new MessageChannel();
    const sending = sendPieces(piecesOf([700], end), port1, new AbortController().signal);
    const source = new ArrivingSource(bytes.length, streamOf(port2));
    const whole = source.until(bytes.length);
    if (end < bytes.length) await assert.rejects(whole, { code: 'ERR_NETWORK', message: 'it broke' });
    else await whole;
    assert.deepEqual(read(source, 0, 4200), bytes.slice(0, 4200));
    await sending;
  }
});

test('a stream is cancelled once its pieces are not wanted', async () => {
  const { port1, port2 } = new MessageChannel();
  const stop = new AbortController();
  let cancelled;
  const endless = new ReadableStream({
    async pull(controller) {
      await setTimeout(1);
      if (!cancelled) controller.enqueue(bytes.slice());
    },
    cancel: () => (cancelled = true),
  });
  const sending = sendPieces(endless, port1, stop.signal);
  const source = new ArrivingSource(2 ** 40, streamOf(port2));
  await source.until(50_000);
  stop.abort();
  await sending;
  assert.equal(cancelled, true);
  source.cancel();
});

test('a long wait for bytes is used, until they come, all is done or the load is stopped', async () => {
  let steps = 0;
  const step = () => ++steps === 3;
  await runMeanwhile(setTimeout(1), step);
  assert.equal(steps, 0);
  await runMeanwhile(setTimeout(100), step);
  assert.equal(steps, 3);
  let waiting = true;
  const bytes = setTimeout(100).then(() => (waiting = false));
  await runMeanwhile(bytes, () => !waiting && assert.fail('they are there'));
  await assert.rejects(
    runMeanwhile(
      setTimeout(50).then(() => assert.fail('it broke')),
      () => false,
    ),
    /it broke/,
  );
  const stop = new AbortController();
  await runMeanwhile(setTimeout(100), () => void (steps++, stop.abort()), stop.signal);
  assert.equal(steps, 4);
});
