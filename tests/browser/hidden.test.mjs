// A page that is hidden, or frozen, loads and runs its models: at once, or when it is thawed.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { safetensors, weightsOf } from '../node/support.mjs';
import { launchHidable, open, site, skip } from './support.mjs';

const browser = await launchHidable();
const timeout = 300_000;

test(
  'a page that is hidden or frozen while it loads and runs gives what another gives [R18]',
  { skip, timeout },
  async () => {
    const template = await createModel('resnet10t', { threads: 1 });
    const weights = safetensors(weightsOf(template));
    template.dispose();
    let sending;
    const served = new Promise((resolve) => (sending = resolve));
    const address = await site({
      '/weights': ({ headers }, response) => {
        const [, begin] = /^bytes=(\d+)-$/.exec(headers.range) ?? [];
        if (begin) {
          const range = `bytes ${begin}-${weights.length - 1}/${weights.length}`;
          const length = weights.length - begin;
          response.writeHead(206, { etag: '"1"', 'content-length': length, 'content-range': range });
          response.end(weights.subarray(begin));
          return;
        }
        response.writeHead(200, { etag: '"1"', 'content-length': weights.length });
        response.write(weights.subarray(0, 1000), () => sending(response));
      },
    });
    const tab = await open(browser, address);
    const session = await tab.createCDPSession();
    const setState = (state) => session.send('Page.setWebLifecycleState', { state });

    await tab.evaluate(() => {
      window.freezes = 0;
      let start;
      window.started = new Promise((resolve) => (start = resolve));
      document.addEventListener('freeze', () => window.freezes++);
      const load = async () => {
        // At times Chromium does not go on with a response when a page is thawed: what is silent is asked for again.
        const model = await window.wimm.createModel('resnet10t', {
          weights: '/weights',
          idleTimeout: 5000,
          onProgress: ({ loaded }) => loaded > 0 && start(),
        });
        const run = () => model.forward({ data: new Float32Array(3 * 64 * 64).fill(0.5), shape: [1, 3, 64, 64] });
        window.run = async () => Array.from((await run()).data);
        return window.run();
      };
      window.loaded = load().catch(({ code }) => code);
    });
    const response = await served;
    await tab.evaluate(() => window.started);
    await setState('frozen');
    response.end(weights.subarray(1000)); // more than waits on the way, while the page does not read
    await setState('active');
    const loaded = await tab.evaluate(() => window.loaded);
    assert.equal(loaded.length, 1000, loaded);

    await tab.evaluate(() => void (window.ran = window.run()));
    await setState('frozen');
    await setState('active');
    assert.deepEqual(await tab.evaluate(() => window.ran), loaded);

    assert.deepEqual(await tab.evaluate(() => [document.visibilityState, window.freezes]), ['hidden', 2]);
    assert.deepEqual(await tab.evaluate(() => window.run()), loaded);
    await tab.close();
  },
);
