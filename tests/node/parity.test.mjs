// Architectures give timm's numbers through the public interface (tests/native/parity.test.mjs has all of them, and more).
import { test } from 'node:test';

import { createModel } from 'wimm';

import { images } from '../parity/synthetic.mjs';
import { assertGolden, checkpointOf, goldens } from './goldens.mjs';
import { safetensors } from './support.mjs';

// The small ones, and one of each kind of ResNet; with WIMM_TEST_ALL=1 (npm run test:all), those of up to 100 million parameters.
const kinds = [
  'resnet18d',
  'resnet50',
  'resnet50_gn',
  'seresnext26t_32x4d',
  'ecaresnet26t',
  'resnetblur18',
  'resnetaa34d',
];
const limit = process.env.WIMM_TEST_ALL ? 1e8 : 6e6;
const plain = ({ model, levels, state_dict }) =>
  levels.length > 0 && (state_dict.elements < limit || kinds.includes(model));
const ofAnyChannels = ({ model, dtype, num_classes }) =>
  ['resnet34', 'tf_efficientnet_lite0'].includes(model) && dtype === 'float32' && num_classes === 1000;

// The checkpoint of the case before, which often serves again.
let last = { of: '', file: new Uint8Array() };

async function fileOf(golden) {
  const of = golden.sized_checkpoint ? `${golden.model} ${golden.img_size}` : golden.model;
  if (last.of !== of) last = { of, file: safetensors(await checkpointOf(golden)) };
  return last.file;
}

const ofAnotherSize = ({ model, img_size }) => model === 'vit_tiny_patch16_224' && img_size !== undefined;

for (const golden of goldens.filter((each) => plain(each) || ofAnyChannels(each) || ofAnotherSize(each))) {
  test(`${golden.model} [${golden.input}]`, async () => {
    const weights = await fileOf(golden);
    const model = await createModel(golden.model, {
      weights,
      inChans: golden.in_chans,
      imgSize: golden.img_size,
      threads: 1,
    });
    const x = images(golden.input);
    assertGolden('logits', await model.forward(x), golden.logits);
    if (golden.features) {
      const features = await model.forwardFeatures(x);
      assertGolden('features', features, golden.features);
      assertGolden('logits of features', await model.forwardHead(features), golden.logits);
    }
    model.dispose();
  });
}
