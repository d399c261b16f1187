// Under a strict Content-Security-Policy that is enforced, the package classifies, and violates nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, realContent, site, skip } from './support.mjs';

const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

/** A script of the page's own, since the policy does not bind those of the test. It does what a policy is to prevent. */
const forbidden = `
  export function evaluate() {
    try {
      return new Function('return "evaluated"')();
    } catch ({ name }) {
      return name;
    }
  }
  export function startBlobWorker() {
    const address = URL.createObjectURL(new Blob(['postMessage("started")'], { type: 'text/javascript' }));
    return new Promise((resolve) => {
      const worker = new Worker(address);
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ type }) => resolve(type);
    });
  }
`;

const browser = await launch();
const content = { ...(await realContent()), '/forbidden.js': forbidden };

for (const isolated of [false, true]) {
  test(`a strict policy is enforced and kept, ${isolated ? 'with' : 'without'} threads [R17]`, { skip }, async () => {
    const tab = await open(browser, await site(content, { isolated, policy }));
    const messages = [];
    tab.on('console', (message) => messages.push(message.text()));
    tab.on('pageerror', (error) => messages.push(String(error)));
    const { label, backend, violations } = await tab.evaluate(async () => {
      const violations = [];
      window.addEventListener('securitypolicyviolation', ({ violatedDirective }) => violations.push(violatedDirective));
      const model = await window.wimm.createModel('tf_efficientnet_lite0', { weights: '/weights.pth' });
      const [{ label }] = await model.classify(await (await fetch('/chelsea.png')).blob());
      model.dispose();
      return { label, backend: model.backend, violations };
    });
    assert.equal(label, 'tiger cat');
    assert.equal(backend.worker, true);
    assert.equal(backend.threads > 1, isolated);
    assert.deepEqual(violations, []);
    assert.deepEqual(messages, []); // workers report theirs there

    const enforced = await tab.evaluate(async () => {
      const { evaluate, startBlobWorker } = await import('/forbidden.js');
      return [evaluate(), await startBlobWorker()];
    });
    assert.deepEqual(enforced, ['EvalError', 'error']);
    assert.ok(messages.length > 0);
    await tab.close();
  });
}
