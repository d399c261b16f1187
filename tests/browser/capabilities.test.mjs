// In a page, capabilities say which build runs, and why not a faster one.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, site, skip } from './support.mjs';

const browser = await launch();

/** What a page says of what it can do, and what it says to one who asks for two threads. */
async function ask(options) {
  const tab = await open(browser, await site({}, options));
  const result = await tab.evaluate(async () => {
    const { capabilities, createModel } = window.wimm;
    const { backend, message } = await createModel('resnet10t', { threads: 2 }).catch((error) => error);
    return { ...(await capabilities()), backend, message };
  });
  await tab.close();
  return result;
}

test('a page that is not cross-origin isolated has no threads, and says so [R14]', { skip }, async () => {
  const { backend, message, reasons, ...able } = await ask({});
  assert.deepEqual(able, { simd: true, relaxedSimd: true, threads: false, isolated: false, variant: 'relaxed' });
  assert.equal(reasons.length, 1);
  assert.match(reasons[0], /^no threads: the page is not cross-origin isolated .*Cross-Origin-Opener-Policy/);
  assert.equal(backend, undefined);
  assert.match(message, /^2 threads were asked for, but no threads: the page is not cross-origin isolated/);
});

test('a page that is cross-origin isolated has all', { skip }, async () => {
  const { backend, message, reasons, ...able } = await ask({ isolated: true });
  assert.deepEqual(able, { simd: true, relaxedSimd: true, threads: true, isolated: true, variant: 'relaxed-threads' });
  assert.deepEqual(reasons, []);
  assert.equal(message, undefined);
  assert.equal(backend.threads, 2);
});
