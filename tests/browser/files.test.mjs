// Weights and photographs may be files of the visitor's, picked or dropped.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { samples } from '../../scripts/samples.mjs';
import { launch, open, realContent, site, skip } from './support.mjs';

const browser = await launch();

/** Runs in the page: gives `window.files` what its input or its body takes. */
function takeFiles() {
  const input = Object.assign(document.createElement('input'), { type: 'file', multiple: true });
  document.body.append(input);
  window.files = new Promise((resolve) => {
    input.onchange = () => resolve([...input.files]);
    document.body.ondrop = ({ dataTransfer }) => resolve([...dataTransfer.files]);
  });
}

const ways = {
  async picked(tab) {
    const { weights, photographs } = await samples();
    await tab.setInputFiles('input', [weights, photographs.chelsea]);
  },
  async dropped(tab) {
    const dataTransfer = await tab.evaluateHandle(async () => {
      const transfer = new DataTransfer();
      for (const path of ['/weights.pth', '/chelsea.png']) {
        transfer.items.add(new File([await (await fetch(path)).blob()], path.slice(1)));
      }
      return transfer;
    });
    await tab.dispatchEvent('body', 'drop', { dataTransfer });
  },
};

for (const [how, give] of Object.entries(ways)) {
  test(`files that are ${how} are weights and a photograph`, { skip }, async () => {
    const tab = await open(browser, await site(await realContent()));
    await tab.evaluate(takeFiles);
    await give(tab);
    const { label, probability, named, cached } = await tab.evaluate(async () => {
      const [weights, photograph] = await window.files;
      const named = new Set();
      const onProgress = ({ stage, file }) => stage === 'load' && named.add(file);
      const model = await window.wimm.createModel('tf_efficientnet_lite0', { weights, onProgress });
      const [{ label, probability }] = await model.classify(photograph);
      model.dispose();
      return { label, probability, named: [...named], cached: (await caches.keys()).length };
    });
    await tab.close();
    assert.equal(label, 'tiger cat');
    assert.ok(Math.abs(probability - 0.3928) < 1e-3, `${probability}`); // timm's
    assert.match(named.join(), /^(weights|efficientnet-lite0-57934424)\.pth$/);
    assert.equal(cached, 0);
  });
}
