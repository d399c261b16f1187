// A load in a page tells how far it is, while the file still comes, in bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, open, realContent, site, skip } from './support.mjs';

const browser = await launch();

test('a load tells its progress as the bytes come', { skip }, async () => {
  const content = await realContent();
  const weights = content['/weights.pth'];
  const half = weights.length / 2;
  let sendRest;
  const seen = new Promise((resolve) => (sendRest = resolve));
  const address = await site({
    ...content,
    '/weights.pth': async (request, response) => {
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, half));
      await seen;
      response.end(weights.subarray(half));
    },
  });
  const tab = await open(browser, address);
  await tab.exposeFunction('seeHalf', sendRest);
  const steps = await tab.evaluate(async (half) => {
    const steps = [];
    const onProgress = (step) => {
      steps.push(step);
      if (step.stage === 'download' && step.loaded >= half && step.loaded < step.total) window.seeHalf();
    };
    (await window.wimm.createModel('tf_efficientnet_lite0', { weights: '/weights.pth', onProgress })).dispose();
    return steps;
  }, half);

  const of = (stage) => steps.filter((step) => step.stage === stage);
  const file = new URL('/weights.pth', address).href;
  for (const [stage, total] of [
    ['download', weights.length],
    ['load', of('load')[0].total],
    ['compile', 1],
  ]) {
    const loaded = of(stage).map((step) => step.loaded);
    assert.deepEqual(
      loaded,
      loaded.toSorted((a, b) => a - b),
      stage,
    );
    assert.equal(loaded.at(-1), total, stage);
    assert.ok(
      of(stage).every((step) => step.total === total),
      stage,
    );
    if (stage !== 'compile') assert.ok(of(stage).every((step) => step.file === file));
  }
  assert.ok(of('download').some(({ loaded }) => loaded === half));
  assert.ok(of('load').length > 2);
  assert.equal(steps.at(-1).stage, 'load');
});
