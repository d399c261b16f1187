// A WimmError keeps its fields wherever it goes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { importSource } from './import_source.mjs';

const { quote, WimmError } = await importSource(['errors.ts']);
const details = { missing: ['fc.weight'] };
const failure = () =>
  new WimmError('ERR_STATE_DICT_MISMATCH', 'no fc.weight', { tensor: 'fc.weight', offset: 8, details });
const fields = { name: 'WimmError', message: 'no fc.weight', code: 'ERR_STATE_DICT_MISMATCH', retryable: false };

test('it is an Error with a code and a stack', () => {
  const error = failure();
  assert.equal(WimmError.name, 'WimmError');
  assert.ok(error instanceof Error && error instanceof WimmError);
  assert.equal(String(error), 'WimmError: no fc.weight');
  assert.match(error.stack, /^WimmError \[ERR_STATE_DICT_MISMATCH\]: no fc\.weight\n/);
  assert.match(inspect(error), /errors\.test|data:/);
});

test('structuredClone, postMessage and JSON keep its fields [R28]', async () => {
  const { port1, port2 } = new MessageChannel();
  const posted = new Promise((resolve) => (port2.onmessage = ({ data }) => resolve(data)));
  port1.postMessage(failure());
  const copies = [structuredClone(failure()), JSON.parse(JSON.stringify(failure())), await posted];
  port1.close();
  for (const copy of copies) {
    assert.deepEqual({ ...copy }, { ...fields, tensor: 'fc.weight', offset: 8, details });
    const restored = WimmError.from(copy);
    assert.ok(restored instanceof WimmError);
    assert.deepEqual({ ...restored }, { ...copy });
  }
});

test('its cause may be anything, and stays out of the way of a clone', () => {
  for (const cause of ['closed', new TypeError('closed'), () => 'closed', { self: globalThis }, null, 7n]) {
    const error = new WimmError('ERR_ABORTED', 'aborted', { cause, retryable: true });
    assert.equal(error.name, 'AbortError');
    assert.equal(error.cause, cause);
    assert.equal(structuredClone(error).code, 'ERR_ABORTED');
    assert.equal(JSON.parse(JSON.stringify(error)).retryable, true);
  }
  const { cause } = JSON.parse(JSON.stringify(new WimmError('ERR_NETWORK', 'x', { cause: new TypeError('closed') })));
  assert.deepEqual(cause, { name: 'TypeError', message: 'closed' });
});

test('a quoted name is escaped and cut', () => {
  assert.equal(quote('a"b\n\u0085\u202e\ud800'), '"a\\"b\\n\\u0085\\u202e\\ud800"');
  assert.equal(quote('x'.repeat(300)), `"${'x'.repeat(200)}…"`);
});

test('the documentation names every code', () => {
  const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const [, union] = /type ErrorCode =(.*?);/s.exec(read('js/errors.ts'));
  const rows = [...read('docs/errors.md').matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code);
  assert.deepEqual(rows, union.match(/ERR_\w+/g));
});
