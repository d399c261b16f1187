// Where a page's policy forbids workers or their scripts, models run without, at once, and capabilities say why.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, site, skip, strictPolicy } from './support.mjs';

const browser = await launch();

/** What a page of this policy says of its build, and of the time until a model ran. */
async function run(policy, options = {}) {
  const tab = await open(browser, await site({}, { isolated: true, policy: `${strictPolicy}; ${policy}` }));
  const result = await tab.evaluate(async (options) => {
    const { capabilities, createModel } = window.wimm;
    try {
      const model = await createModel('resnet10t', options);
      const { shape } = await model.forward({ data: new Float32Array(3 * 64 * 64), shape: [1, 3, 64, 64] });
      return { shape, backend: model.backend, reasons: (await capabilities()).reasons };
    } catch ({ code, message }) {
      return { code, message };
    }
  }, options);
  await tab.close();
  return result;
}

test('without workers, a model runs in the page and on one thread [R11, R14]', { skip }, async () => {
  const { shape, backend, reasons, message } = await run("worker-src 'none'");
  assert.deepEqual(shape, [1, 1000], message);
  assert.equal(backend.worker, false);
  assert.equal(backend.threads, 1);
  assert.match(reasons.join('\n'), /a worker cannot start here/);
  assert.match(reasons.join('\n'), /no threads/);
  assert.doesNotMatch(reasons.join('\n'), /do not start/, 'found out by an error, not by waiting');
  assert.equal((await run("worker-src 'none'", { worker: true })).code, 'ERR_WORKER_CRASHED');
  assert.equal((await run("worker-src 'none'", { threads: 2 })).code, 'ERR_ENV_NO_THREADS');
});

test('where scripts must be trusted types, a model runs all the same [R17]', { skip }, async () => {
  const { shape, message } = await run("require-trusted-types-for 'script'");
  assert.deepEqual(shape, [1, 1000], message);
});
