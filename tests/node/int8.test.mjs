// dtype: 'int8' on real weights and photographs, from a checkpoint and from a pack.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import sharp from 'sharp';
import { createModel } from 'wimm';

import { samples } from '../../scripts/samples.mjs';
import { temporaryFolder } from './support.mjs';

const name = 'tf_efficientnet_lite0';
const { weights, photographs } = await samples();
const wimmPack = join(import.meta.dirname, '../../build/native/weights-tools/wimm-pack');

/** So many squares of photographs, of many sizes and places. */
async function* crops(count) {
  const files = ['astronaut.png', 'camera.png', 'chelsea.png', 'coffee.png', 'motorcycle_left.png', 'rocket.jpg'];
  const photos = await Promise.all(
    files.map((file) =>
      sharp(join(dirname(photographs.chelsea), file))
        .toColourspace('srgb')
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true }),
    ),
  );
  let seed = 1;
  const random = (below) => Math.floor(((seed = (seed * 48271) % 2147483647) / 2147483647) * below);
  for (let i = 0; i < count; i++) {
    const { data, info } = photos[i % photos.length];
    const { width, height, channels } = info;
    const side = Math.round(Math.min(width, height) * (0.5 + random(50) / 100));
    const left = random(width - side),
      top = random(height - side);
    const raw = sharp(data, { raw: { width, height, channels } });
    yield {
      data: await raw.extract({ left, top, width: side, height: side }).raw().toBuffer(),
      width: side,
      height: side,
      channels,
    };
  }
}

const probabilitiesOf = async (model, image) => {
  const classes = await model.classify(image, { topK: model.numClasses });
  return new Map(classes.map(({ index, probability }) => [index, probability]));
};

const folder = temporaryFolder();

function packed(dtype) {
  const path = join(folder, `${dtype}.wimm`);
  execFileSync(wimmPack, ['convert', '--model', name, '--dtype', dtype, weights, '-o', path]);
  return path;
}

const int8Pack = packed('int8');

test('an int8 pack has about a quarter of the bytes', (t) => {
  const ratio = statSync(int8Pack).size / statSync(packed('float32')).size;
  t.diagnostic(`${ratio.toFixed(3)} of the bytes`);
  assert.ok(ratio < 0.29, `${ratio}`);
});

test('of 100 crops of photographs, an int8 pack gives nearly all the class that float32 gives', async (t) => {
  const models = await Promise.all([
    createModel(name, { weights, threads: 1 }),
    createModel(name, { weights: int8Pack, dtype: 'int8', threads: 1 }),
  ]);
  let [same, distance] = [0, 0];
  for await (const crop of crops(100)) {
    const [wanted, got] = await Promise.all(models.map((model) => probabilitiesOf(model, crop)));
    if (wanted.keys().next().value === got.keys().next().value) same++;
    for (const [index, probability] of wanted) distance += Math.abs(probability - got.get(index)) / 100;
  }
  const [floatBytes, bytes] = await Promise.all(models.map(async (model) => (await model.memory()).weights));
  t.diagnostic(`${same} of 100 the same; the probabilities of an image differ by ${distance.toFixed(3)} in all`);
  t.diagnostic(`weights in memory: ${(bytes / floatBytes).toFixed(2)} of the bytes`);
  assert.ok(same >= 95, `${same} of 100`);
  assert.ok(bytes < 0.6 * floatBytes);
  models.forEach((model) => model.dispose());
});

test('a checkpoint is rounded as it is loaded', async () => {
  const [single, eight] = await Promise.all(
    ['float32', 'int8'].map(async (dtype) => {
      const model = await createModel(name, { weights, dtype, threads: 1 });
      const probabilities = await probabilitiesOf(model, photographs.chelsea);
      model.dispose();
      return probabilities;
    }),
  );
  const [[best, probability]] = single;
  assert.equal(eight.keys().next().value, best);
  assert.ok(Math.abs(eight.get(best) - probability) < 0.03);
  assert.notDeepEqual(eight, single);
});

test('images of a batch are as each alone', async () => {
  const model = await createModel(name, { weights, dtype: 'int8', threads: 1 });
  const images = { data: new Float32Array(2 * 3 * 224 * 224), shape: [2, 3, 224, 224] };
  for (let i = 0; i < images.data.length; i++)
    images.data[i] = Math.sin(i * 12.9898) * (i < images.data.length / 2 ? 1 : 30);
  const { data } = await model.forward(images);
  for (const i of [0, 1]) {
    const half = images.data.length / 2;
    const one = await model.forward({ data: images.data.slice(i * half, (i + 1) * half), shape: [1, 3, 224, 224] });
    assert.deepEqual(one.data, data.slice(i * 1000, (i + 1) * 1000));
  }
  model.dispose();
});
