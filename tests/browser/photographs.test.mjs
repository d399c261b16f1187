// Photographs are classified in a page with real weights, of 3, 1 and 25 channels, with the probabilities that timm gives.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { answered, browsers, open, realContent, site } from './support.mjs';

// From timm 1.0.31 and PIL; the weights through timm's adapt_input_conv, grey by PIL's convert('L').
const expected = {
  3: { chelsea: { 282: 0.3928, 285: 0.3563, 281: 0.1695 }, coffee: { 967: 0.9514, 968: 0.0151, 925: 0.0075 } },
  1: { chelsea: { 285: 0.6187, 281: 0.1753, 282: 0.1479 }, coffee: { 967: 0.7931, 968: 0.086, 504: 0.0181 } },
  25: { chelsea: { 282: 0.3735, 285: 0.3413, 281: 0.1952 }, coffee: { 967: 0.9489, 968: 0.0171, 925: 0.0076 } },
};
const tolerance = 5e-5 + 1e-4; // of four digits, and of builds that round in another way

const content = await realContent();
const pages = {
  'a page': { isolated: false, address: await site(content) },
  'a cross-origin isolated page': { isolated: true, address: await site(content, { isolated: true }) },
};

/** Runs in the page: the three most probable classes of each photograph. 25 bands are its colours over and over. */
async function classify(inChans) {
  const model = await window.wimm.createModel('tf_efficientnet_lite0', { weights: '/weights.pth', inChans });
  const stem = model.parameters().get('conv_stem.weight').shape;
  const classes = {};
  for (const name of ['chelsea', 'coffee']) {
    let image = await (await fetch(`/${name}.png`)).blob();
    if (inChans > 3) {
      const bitmap = await createImageBitmap(image);
      const { width, height } = bitmap;
      const context = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      const rgba = context.getImageData(0, 0, width, height).data;
      const data = Uint8Array.from({ length: width * height * inChans }, (_, i) => {
        const [pixel, channel] = [Math.floor(i / inChans), i % inChans];
        return rgba[4 * pixel + (channel % 3)];
      });
      image = { data, width, height, channels: inChans };
    }
    classes[name] = await model.classify(image, { topK: 3 });
  }
  const { backend } = model;
  model.dispose();
  return { stem, classes, backend };
}

function assertProbabilities(classes, expected) {
  for (const [photograph, probabilities] of Object.entries(expected)) {
    assert.deepEqual(
      classes[photograph].map(({ index }) => String(index)).toSorted(),
      Object.keys(probabilities).toSorted(),
    );
    for (const { index, label, probability } of classes[photograph]) {
      const error = Math.abs(probability - probabilities[index]);
      assert.ok(error <= tolerance, `${photograph}: ${label} ${probability}, timm: ${probabilities[index]}`);
    }
  }
}

async function assertClassifies(browser, { isolated, address }, inChans) {
  const tab = await open(browser, address);
  const { stem, classes, backend } = await tab.evaluate(classify, inChans);
  await tab.close();
  assert.deepEqual(stem, [32, inChans, 3, 3]);
  assert.equal(backend.worker, true);
  assert.equal(backend.threads > 1, isolated);
  assertProbabilities(classes, expected[inChans]);
  if (inChans !== 3) return;
  assert.deepEqual(
    classes.chelsea.map(({ label }) => label),
    ['tiger cat', 'Egyptian cat', 'tabby, tabby cat'],
  );
  assert.equal(classes.coffee[0].label, 'espresso');
}

// All are launched before the first test: once the tests known so far have ended, the sites are closed.
const launched = await Promise.all(Object.values(browsers).map(({ launch }) => launch()));

for (const [index, [name, { launch, skip }]] of Object.entries(browsers).entries()) {
  for (const [where, page] of Object.entries(pages)) {
    for (const inChans of [3, 1, 25]) {
      test(`in ${name}, ${where} classifies photographs by ${inChans} channels`, { skip, timeout: 600_000 }, (t) =>
        answered(launched[index], launch, t, (browser) => assertClassifies(browser, page, inChans)),
      );
    }
  }
}
