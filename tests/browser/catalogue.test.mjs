// In a page, the catalogue answers at once, as it does in Node.js, and needs no WebAssembly.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { getPretrainedCfg, listModels, listModules, listPretrainedTags } from 'wimm';

import { browsers, site } from './support.mjs';

for (const [name, { launch, skip }] of Object.entries(browsers)) {
  test(`in ${name}, the catalogue answers without WebAssembly`, { skip }, async () => {
    const browser = await launch();
    const address = await site({}, { policy: "default-src 'self'" }); // under which WebAssembly cannot be had
    const tab = await browser.newPage();
    const requests = [];
    tab.on('request', (request) => requests.push(request.url()));
    await tab.goto(address);
    const answers = await tab.evaluate(async () => {
      const wimm = await import('/wimm/index.js');
      return {
        all: wimm.listModels(),
        modules: wimm.listModules(),
        pretrained: wimm.listModels('resnet*', { pretrained: true }),
        release: wimm.listModels({ release: '0.3.4' }),
        cfg: wimm.getPretrainedCfg('tf_efficientnet_lite0'),
        tags: wimm.listPretrainedTags('resnet50'),
        known: [wimm.isModel('adv_inception_v3'), wimm.isModel('resnet'), wimm.isModelPretrained('resnet34')],
      };
    });
    assert.equal(answers.release.length, 347);
    assert.deepEqual(answers.release.slice(0, 5), [
      'adv_inception_v3',
      'cspdarknet53',
      'cspdarknet53_iabn',
      'cspresnet50',
      'cspresnet50d',
    ]);
    assert.deepEqual(answers.known, [true, false, true]);
    assert.deepEqual(answers, {
      all: listModels(),
      modules: listModules(),
      pretrained: listModels('resnet*', { pretrained: true }),
      release: listModels({ release: '0.3.4' }),
      cfg: getPretrainedCfg('tf_efficientnet_lite0'),
      tags: listPretrainedTags('resnet50'),
      known: answers.known,
    });
    assert.deepEqual(
      requests.filter((url) => /wasm|wimm-|worker/.test(url)),
      [],
    );
  });
}
