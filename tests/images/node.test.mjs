// In Node, files of every kind give the samples that PIL reads.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { createModel } from 'wimm';

import { rejects } from '../node/support.mjs';
import { corpus, difference, find, halves, mutantErrors, mutants, samplesOf, unscaled } from './corpus.mjs';

const [name, options] = unscaled;
const [colour, grey, rgba] = await Promise.all([3, 1, 4].map((inChans) => createModel(name, { ...options, inChans })));
after(() => [colour, grey, rgba].forEach((model) => model.dispose()));

const read = async (model, image) => samplesOf(await model.preprocess(image), model.pretrainedCfg);
const raw = (data, channels) => ({ data, width: 18, height: 16, channels });

// libheif converts AVIF's luma and chroma in fixed point, PIL's libavif in floating point.
const tolerance = (name) => (name.endsWith('.avif') ? 1 : 0);

for (const image of corpus) {
  test(`${image.name} is read as PIL reads it [I03, I04, I05]`, async () => {
    assert.ok(difference(await read(colour, image.file), image.rgb) <= tolerance(image.name), 'RGB');
    assert.ok(difference(await read(grey, image.file), image.grey) <= tolerance(image.name), 'grey');
    const opaque = Uint8Array.from({ length: 18 * 16 * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : image.rgb[(i >> 2) * 3 + (i % 4)],
    );
    assert.ok(difference(await read(rgba, image.file), image.rgba ?? opaque) <= tolerance(image.name), 'RGBA');
  });
}

test('raw pixels are converted as files are', async () => {
  const transparent = find('rgba.png');
  assert.deepEqual(await read(colour, raw(transparent.rgba, 4)), transparent.rgb);
  assert.deepEqual(await read(grey, raw(transparent.rgba, 4)), transparent.grey);
  assert.deepEqual(await read(rgba, raw(transparent.rgba, 4)), transparent.rgba);

  const greyAlpha = find('grey_alpha.png');
  const pairs = greyAlpha.rgba.filter((_, i) => i % 4 === 0 || i % 4 === 3);
  assert.deepEqual(await read(colour, raw(pairs, 2)), greyAlpha.rgb);
  assert.deepEqual(await read(grey, raw(pairs, 2)), greyAlpha.grey);
  assert.deepEqual(await read(rgba, raw(pairs, 2)), greyAlpha.rgba);
});

test('half a file is refused', async () => {
  for (const file of halves) await rejects(colour.preprocess(file), 'ERR_IMAGE_DECODE');
});

test('a damaged file is read, or refused [I06]', async () => {
  let refused = 0;
  for (const file of mutants(1000)) {
    const error = await colour.preprocess(file).catch((error) => error);
    if (!error.code) continue;
    assert.ok(mutantErrors.includes(error.code), error.stack);
    refused++;
  }
  assert.ok(refused > 100 && refused < 1000);
});

test('pixels that change, fail or lie as they are read are refused, or read once [I09, I10, I11]', async () => {
  const { rgb } = find('rgb.png');
  const given = raw(rgb, 3);
  const throwing = {
    ...given,
    get height() {
      throw new Error('no');
    },
  };
  await rejects(colour.preprocess(throwing), 'ERR_INVALID_ARGUMENT');
  await rejects(colour.preprocess(new Proxy(given, { getOwnPropertyDescriptor: () => assert.fail() })), 'ERR_INVALID_ARGUMENT'); // prettier-ignore
  await rejects(colour.preprocess({ ...given, data: { length: 2 ** 53, ...rgb } }), 'ERR_INPUT_DTYPE');

  const buffer = new ArrayBuffer(rgb.length, { maxByteLength: rgb.length });
  const tracking = new Uint8Array(buffer);
  const shrinking = {
    ...given,
    data: tracking,
    get width() {
      buffer.resize(3);
      return 18;
    },
  };
  await rejects(colour.preprocess(shrinking), 'ERR_INPUT_SHAPE');
  buffer.resize(0);
  await rejects(colour.preprocess({ ...given, data: tracking }), 'ERR_INPUT_DETACHED');

  const shared = new Uint8Array(new SharedArrayBuffer(rgb.length));
  shared.set(rgb);
  const reading = read(colour, { ...given, data: shared });
  shared.fill(0);
  assert.deepEqual(await reading, rgb);

  const doomed = await createModel(name, options);
  const disposing = {
    ...given,
    get height() {
      doomed.dispose();
      return 16;
    },
  };
  await rejects(doomed.preprocess(disposing), 'ERR_DISPOSED');
});

test('a worker reads what this thread reads', async () => {
  const remote = await createModel(name, { ...options, worker: true });
  const { file, rgb } = find('rgb.png');
  const images = [file, new Blob([file]), raw(rgb, 3)];
  for (const image of images) assert.deepEqual(await read(remote, image), rgb);
  assert.deepEqual((await remote.preprocess(images)).shape, [3, 3, 16, 18]);
  assert.equal(rgb.length, 18 * 16 * 3); // the caller keeps the buffer
  remote.dispose();
});
