// Architectures give timm's numbers through the public interface (tests/native/parity.test.mjs has all of them, and more).
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { checkpoint, images, sampleIndices } from '../parity/synthetic.mjs';
import { safetensors } from './support.mjs';

const folder = join(import.meta.dirname, '../parity/goldens');
const goldens = readdirSync(folder).flatMap((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')).cases);

// Of the largest magnitude. Both sides compute in float32, in different orders.
const tolerance = 1e-4;

// The small ones, and one of each kind of ResNet.
const kinds = [
  'resnet18d',
  'resnet50',
  'resnet50_gn',
  'seresnext26t_32x4d',
  'ecaresnet26t',
  'resnetblur18',
  'resnetaa34d',
];
const plain = ({ model, levels, state_dict }) =>
  levels.length > 0 && (state_dict.elements < 6e6 || kinds.includes(model));
const ofAnyChannels = ({ model, dtype, num_classes }) =>
  ['resnet34', 'tf_efficientnet_lite0'].includes(model) && dtype === 'float32' && num_classes === 1000;

// The checkpoint of the case before, which often serves again.
let last = { model: '', file: new Uint8Array() };

async function checkpointOf({ model, gain }) {
  if (last.model === model) return last.file;
  const random = await createModel(model, { threads: 1 });
  last = { model, file: safetensors(checkpoint(random.parameters(), gain)) };
  random.dispose();
  return last.file;
}

function assertEqual(what, { shape, data }, golden) {
  assert.deepEqual(shape, golden.shape, what);
  const indices = sampleIndices(golden.samples.length, data.length);
  const error = indices.reduce((worst, index, i) => Math.max(worst, Math.abs(data[index] - golden.samples[i])), 0);
  assert.ok(error <= tolerance * golden.max, `${what} differ by ${error} of ${golden.max}`);
}

for (const golden of goldens.filter((golden) => plain(golden) || ofAnyChannels(golden))) {
  test(`${golden.model} [${golden.input}]`, async () => {
    const weights = await checkpointOf(golden);
    const model = await createModel(golden.model, { weights, inChans: golden.in_chans, threads: 1 });
    const x = images(golden.input);
    const features = await model.forwardFeatures(x);
    assertEqual('features', features, golden.features);
    assertEqual('logits', await model.forward(x), golden.logits);
    assertEqual('logits of features', await model.forwardHead(features), golden.logits);
    model.dispose();
  });
}
