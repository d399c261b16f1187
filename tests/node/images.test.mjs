// Image files are decoded through sharp, and converted as PIL does.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import sharp from 'sharp';
import { createModel } from 'wimm';

import { rejects, temporaryFolder } from './support.mjs';

const model = await createModel('resnet18', { threads: 1 });
const grey = await createModel('resnet18', { threads: 1, inChans: 1 });
const spectral = await createModel('resnet18', { threads: 1, inChans: 5 });
after(() => [model, grey, spectral].forEach((each) => each.dispose()));

const [width, height] = [48, 32];
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + (i >> 5)) % 256);
const raw = { data: rgb, width, height, channels: 3 };
const encode = (pixels = raw) => sharp(pixels.data, { raw: pixels });
const png = await encode().png().toBuffer();
const expected = await model.preprocess(raw);

test('a path, a URL, bytes and a Blob give what raw pixels give', async () => {
  const path = join(temporaryFolder(), 'image.png');
  writeFileSync(path, png);
  const bytes = new Uint8Array(png);
  for (const image of [
    path,
    pathToFileURL(path),
    pathToFileURL(path).href,
    png,
    bytes,
    bytes.buffer,
    new Blob([bytes]),
  ]) {
    assert.deepEqual(await model.preprocess(image), expected);
  }
  const { shape } = await model.preprocess([path, raw]);
  assert.deepEqual(shape, [2, 3, 224, 224]);
});

test('JPEG, WebP and TIFF are decoded as sharp decodes them', async () => {
  for (const format of ['jpeg', 'webp', 'tiff']) {
    const file = await encode().toFormat(format).toBuffer();
    const { data } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual(
      await model.preprocess(file),
      await model.preprocess({ ...raw, data: new Uint8Array(data) }),
      format,
    );
  }
});

test('an image is turned upright once, whatever its EXIF orientation [I05]', async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const upright = await encode().png().toBuffer();
    const turned = {
      1: [0],
      2: [0, 'flop'],
      3: [180],
      4: [180, 'flop'],
      5: [270, 'flop'],
      6: [270],
      7: [90, 'flop'],
      8: [90],
    }[orientation];
    let stored = sharp(upright);
    if (turned[1]) stored = sharp(await stored.flop().toBuffer());
    const file = await stored.rotate(turned[0]).withMetadata({ orientation }).png().toBuffer();
    assert.deepEqual(await model.preprocess(file), expected, `orientation ${orientation}`);
  }
});

test('grey is repeated, and colour made grey by luma', async () => {
  const luma = Uint8Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3);
    return (r * 19595 + g * 38470 + b * 7471 + 32768) >> 16; // PIL's L24
  });
  const greyImage = { ...raw, data: luma, channels: 1 };
  const converted = await grey.preprocess(raw);
  assert.deepEqual(converted.shape, [1, 1, 224, 224]);
  assert.deepEqual(converted, await grey.preprocess(greyImage));
  const repeated = { ...raw, data: new Uint8Array(rgb.length).map((_, i) => luma[Math.floor(i / 3)]) };
  assert.deepEqual(await model.preprocess(greyImage), await model.preprocess(repeated));
});

test('a model of five channels takes images of five', async () => {
  const five = { data: new Uint8Array(4 * 4 * 5), width: 4, height: 4, channels: 5 };
  assert.deepEqual((await spectral.preprocess(five)).shape, [1, 5, 224, 224]);
  await rejects(spectral.preprocess(raw), 'ERR_INPUT_SHAPE', /channels: 5/);
  await rejects(model.preprocess(five), 'ERR_INPUT_SHAPE');
});

test('one pixel, and one row of a thousand, are images [I01]', async () => {
  assert.deepEqual(
    (await model.preprocess({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 })).shape,
    expected.shape,
  );
  assert.deepEqual(
    (await model.preprocess({ data: new Uint8Array(3000), width: 1000, height: 1, channels: 3 })).shape,
    expected.shape,
  );
});

test('what is no image is refused [I01, I02, I06]', async () => {
  const detached = new Uint8Array(rgb);
  structuredClone(detached, { transfer: [detached.buffer] });
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
  const cases = [
    ['ERR_IMAGE_DECODE', Buffer.from('<!doctype html>')],
    ['ERR_IMAGE_DECODE', Buffer.alloc(0)],
    ['ERR_IMAGE_DECODE', png.subarray(0, png.length / 2)],
    ['ERR_IMAGE_DECODE', join(temporaryFolder(), 'absent.png')],
    ['ERR_IMAGE_DECODE', svg],
    ['ERR_INPUT_SHAPE', { ...raw, width: 0 }],
    ['ERR_INPUT_SHAPE', { ...raw, width: 1.5 }],
    ['ERR_INPUT_SHAPE', { ...raw, width: width + 1 }],
    ['ERR_INPUT_SHAPE', { ...raw, channels: 0 }],
    ['ERR_INPUT_DTYPE', { ...raw, data: new Float32Array(rgb) }],
    ['ERR_INPUT_DETACHED', { ...raw, data: detached }],
    ['ERR_LIMIT_EXCEEDED', { ...raw, width: 65535, height: 65535 }],
    ['ERR_INVALID_ARGUMENT', null],
    ['ERR_INVALID_ARGUMENT', undefined],
    ['ERR_INVALID_ARGUMENT', 7],
    ['ERR_INVALID_ARGUMENT', {}],
  ];
  for (const [code, image] of cases) await rejects(model.preprocess(image), code);
  await rejects(model.classify([]), 'ERR_INVALID_ARGUMENT');
});

test('a small file that says it is huge is refused before it is decoded [I02]', async () => {
  const huge = Buffer.from(png);
  huge.writeUInt32BE(65535, 16);
  huge.writeUInt32BE(65535, 20);
  const { crc32 } = await import('node:zlib');
  if (!crc32) return;
  huge.writeUInt32BE(crc32(huge.subarray(12, 29)), 29);
  await rejects(model.preprocess(huge), ['ERR_LIMIT_EXCEEDED', 'ERR_IMAGE_DECODE']);
});
