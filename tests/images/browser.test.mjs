// In Chromium, every kind of image gives the samples that PIL reads in its file, on the page's thread and in a worker.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';
import { getPretrainedCfg } from 'wimm';

import { serve } from '../node/support.mjs';
import { corpus, difference, find, halves, mutantErrors, mutants, samplesOf, unscaled } from './corpus.mjs';
import { answer } from './site.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = '--headless --no-sandbox --disable-gpu --autoplay-policy=no-user-gesture-required'.split(' ');
const skip = !existsSync(executablePath) && `there is no ${executablePath}`;
const cfg = getPretrainedCfg(unscaled[0]);
const [origin, otherOrigin] = await Promise.all([serve(answer), serve(answer)]);
let browser, tab;
before(async () => {
  if (skip) return;
  browser = await chromium.launch({ executablePath, args });
  tab = await browser.newPage();
  await tab.goto(origin);
  await tab.evaluate(async ([name, options]) => {
    const { createModel } = await import('/wimm/index.js');
    const open = (inChans, worker) => createModel(name, { ...options, inChans, worker });
    window.models = {};
    for (const worker of [true, false]) {
      for (const inChans of [1, 3, 4]) window.models[`${inChans} ${worker}`] = await open(inChans, worker);
    }
    /** What both models of `inChans` channels make of an image: their tensors, or the codes of their errors. */
    window.read = async (make, inChans = 3) => {
      const results = [];
      for (const worker of [true, false]) {
        const image = await make();
        const { data, shape } = await window.models[`${inChans} ${worker}`].preprocess(image);
        results.push({ data: [...data], shape });
      }
      return results;
    };
    window.fail = async (make) => {
      const results = [];
      for (const worker of [true, false]) {
        const error = await window.models[`3 ${worker}`].preprocess(await make()).then(
          () => ({ code: 'none' }),
          (error) => error,
        );
        results.push({ code: error.code, message: error.message, cause: error.cause?.name });
      }
      return results;
    };
    window.blob = async (file) => (await fetch(`/${file}`)).blob();
    window.element = async (file) => {
      const image = new Image();
      image.src = `/${file}`;
      await image.decode();
      return image;
    };
    window.bitmap = async (file) =>
      createImageBitmap(await window.blob(file), { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
    window.draw = async (canvas, file) => {
      Object.assign(canvas, { width: 18, height: 16 })
        .getContext('2d')
        .drawImage(await window.bitmap(file), 0, 0);
      return canvas;
    };
  }, unscaled);
});
after(() => browser?.close());

/** The samples that the page's models read in an image, which `make`, code of the page, gives. */
async function samples(make, file, inChans = 3) {
  const results = await tab.evaluate(`read(() => (${make})(${JSON.stringify(file)}), ${inChans})`);
  return results.map((tensor) => samplesOf(tensor, cfg));
}

/** The largest difference from what PIL reads. */
async function farthest(make, file, inChans, expected) {
  const results = await samples(make, file, inChans);
  return Math.max(...results.map((result) => difference(result, expected)));
}

// Chromium applies no orientation to WebP files, and PIL does.
const readable = corpus.filter(({ name }) => name !== 'orientation_6.webp');

/** How far samples may be from PIL's, where decoders round in another way. */
function tolerance(name) {
  if (name === 'rgba.avif') return 16; // Chromium takes the plane of alpha to be of limited range
  if (name === 'cmyk.jpg') return 1; // a product of ink and light, cut or rounded
  return 0;
}

for (const { name, rgb, grey } of readable) {
  test(`${name} is read as PIL reads it [I03, I04, I05]`, { skip }, async () => {
    const allowed = tolerance(name);
    assert.ok((await farthest('blob', name, 3, rgb)) <= allowed, 'RGB');
    assert.ok((await farthest('blob', name, 1, grey)) <= allowed, 'grey');
    // Chromium keeps an element's 16-bit samples as half floats, and rounds where PIL cuts.
    const rounding = name.includes('16') ? 1 : 0;
    assert.ok((await farthest('element', name, 3, rgb)) <= allowed + rounding, 'element');
  });
}

const makers = {
  'the bytes of a file': 'async (file) => new Uint8Array(await (await blob(file)).arrayBuffer())',
  'an ArrayBuffer': 'async (file) => (await blob(file)).arrayBuffer()',
  'a File': "async (file) => new File([await blob(file)], 'photo')",
  'an ImageBitmap': 'bitmap',
  'an HTMLCanvasElement': "(file) => draw(document.createElement('canvas'), file)",
  'an OffscreenCanvas': '(file) => draw(new OffscreenCanvas(1, 1), file)',
  ImageData:
    "async (file) => (await draw(new OffscreenCanvas(1, 1), file)).getContext('2d').getImageData(0, 0, 18, 16)",
  'a VideoFrame': 'async (file) => new VideoFrame(await bitmap(file), { timestamp: 0 })',
  'raw pixels': `async (file) => {
    const { data } = (await draw(new OffscreenCanvas(1, 1), file)).getContext('2d').getImageData(0, 0, 18, 16);
    return { data, width: 18, height: 16, channels: 4 };
  }`,
};
for (const [kind, make] of Object.entries(makers)) {
  test(`${kind} is read as its file is`, { skip }, async () => {
    for (const file of ['rgb.png', 'rgba.png', 'orientation_6.jpg']) {
      const { rgb, grey } = find(file);
      // A canvas keeps colours multiplied by alpha, in 8 bits: composed, they are off by one.
      const allowed = file === 'rgba.png' ? 1 : 0;
      assert.ok((await farthest(make, file, 3, rgb)) <= allowed, file);
      assert.ok((await farthest(make, file, 1, grey)) <= allowed, `${file}, grey`);
    }
    const { rgb } = find('rgb.png');
    for (const rgba of await samples(make, 'rgb.png', 4)) {
      assert.deepEqual(
        rgba.filter((_, i) => i % 4 < 3),
        rgb,
      );
      assert.ok(rgba.every((sample, i) => i % 4 < 3 || sample === 255));
    }
  });
}

test('RGBA pixels keep the colours that their alpha hides', { skip }, async () => {
  const { rgba } = find('rgba.png');
  const make = `() => ({ data: new Uint8Array(${JSON.stringify([...rgba])}), width: 18, height: 16, channels: 4 })`;
  for (const read of await samples(make, '', 4)) assert.deepEqual(read, rgba);
});

test('a file gives RGBA, as exactly as a canvas keeps it', { skip }, async () => {
  const { rgba } = find('rgba.png');
  for (const read of await samples('blob', 'rgba.png', 4)) {
    rgba.forEach((sample, i) => {
      const alpha = rgba[i | 3];
      // Colours multiplied by alpha are rounded to 8 bits.
      const allowed = i % 4 === 3 ? 0 : alpha === 0 ? 255 : Math.ceil(127.5 / alpha - 0.5);
      assert.ok(Math.abs(read[i] - sample) <= allowed, `${read[i]}, ${sample}, alpha ${alpha}`);
    });
  }
});

test('images of every kind and size make a batch', { skip }, async () => {
  const shape = await tab.evaluate(async () => {
    const images = [await window.blob('rgb.jpg'), await window.element('grey.png'), await window.bitmap('rgba.png')];
    images.push(new ImageData(30, 7), { data: new Uint8Array(5 * 4), width: 5, height: 4, channels: 1 });
    return (await window.models['3 true'].preprocess(images)).shape;
  });
  assert.deepEqual(shape, [5, 3, 16, 18]);
});

test("the caller's bitmap, frame and buffer stay as they are", { skip }, async () => {
  const left = await tab.evaluate(async () => {
    const bitmap = await window.bitmap('rgb.png');
    const frame = new VideoFrame(bitmap, { timestamp: 0 });
    const pixels = new ImageData(18, 16);
    for (const model of [window.models['3 true'], window.models['3 false']]) {
      await model.preprocess([bitmap, frame, pixels]);
    }
    return [bitmap.width, frame.codedWidth, pixels.data.length];
  });
  assert.deepEqual(left, [18, 18, 18 * 16 * 4]);
});

test('an image is read as it was at the call', { skip }, async () => {
  const { rgb } = find('rgb.png');
  const tensors = await tab.evaluate(async () => {
    const model = window.models['3 true'];
    const bitmap = await window.bitmap('rgb.png');
    const frame = new VideoFrame(bitmap, { timestamp: 0 });
    const canvas = await window.draw(new OffscreenCanvas(1, 1), 'rgb.png');
    const pixels = canvas.getContext('2d').getImageData(0, 0, 18, 16);
    const work = [bitmap, frame, canvas, pixels].map((image) => model.preprocess(image));
    bitmap.close();
    frame.close();
    canvas.getContext('2d').fillRect(0, 0, 18, 16);
    pixels.data.fill(0);
    return (await Promise.all(work)).map(({ data, shape }) => ({ data: [...data], shape }));
  });
  for (const tensor of tensors) assert.deepEqual(samplesOf(tensor, cfg), rgb);
});

test('an element that still loads is waited for', { skip }, async () => {
  const { rgb } = find('rgb.png');
  const make = '(file) => Object.assign(new Image(), { src: `/${file}?again` })';
  for (const read of await samples(make, 'rgb.png')) assert.deepEqual(read, rgb);
});

test('the frame that a video shows is read as a canvas reads it, in every colour space', { skip }, async () => {
  const results = await tab.evaluate(async () => {
    const spaces = [
      { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
      { primaries: 'smpte170m', transfer: 'smpte170m', matrix: 'smpte170m', fullRange: false },
      { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: true },
    ];
    const luma = Uint8Array.from({ length: 18 * 16 }, (_, i) => 16 + ((i * 5) % 220));
    const chroma = Uint8Array.from({ length: 2 * 9 * 8 }, (_, i) => 16 + ((i * 11) % 220));
    const i420 = new Uint8Array([...luma, ...chroma]);
    const results = [];
    for (const colorSpace of spaces) {
      const size = { codedWidth: 18, codedHeight: 16 };
      const frame = new VideoFrame(i420, { format: 'I420', ...size, timestamp: 0, colorSpace });
      const context = new OffscreenCanvas(18, 16).getContext('2d');
      context.drawImage(frame, 0, 0);
      const shown = [...context.getImageData(0, 0, 18, 16).data];
      const tensors = await window.read(() => frame);
      const { copyTo } = VideoFrame.prototype;
      VideoFrame.prototype.copyTo = () => Promise.reject(new Error('no RGBA'));
      tensors.push(...(await window.read(() => frame))); // in this thread, through a canvas
      VideoFrame.prototype.copyTo = copyTo;
      frame.close();
      results.push({ shown, tensors });
    }
    return results;
  });
  for (const { shown, tensors } of results) {
    const expected = shown.filter((_, i) => i % 4 < 3);
    for (const tensor of tensors) assert.equal(difference(samplesOf(tensor, cfg), expected), 0);
  }
  const [bt709, bt601, full] = results.map(({ shown }) => JSON.stringify(shown));
  assert.ok(bt709 !== bt601 && bt709 !== full);
});

test('a frame that is stretched, cut, turned or transparent is read as a canvas shows it', { skip }, async () => {
  const pairs = await tab.evaluate(async () => {
    const kinds = [
      { displayWidth: 36, displayHeight: 16 },
      { visibleRect: { x: 2, y: 4, width: 12, height: 8 } },
      { rotation: 90 },
      { rotation: 180 },
      { flip: true },
    ];
    const pairs = [];
    for (const format of ['RGBX', 'RGBA']) {
      const isPadding = (i) => format === 'RGBX' && i % 4 === 3;
      const rgba = Uint8Array.from({ length: 18 * 16 * 4 }, (_, i) => (isPadding(i) ? 255 : (i * 7) % 256));
      for (const kind of kinds) {
        const made = new VideoFrame(rgba, { format, codedWidth: 18, codedHeight: 16, timestamp: 0 });
        const frame = new VideoFrame(made, { ...kind, timestamp: 0 });
        const { displayWidth: width, displayHeight: height } = frame;
        const context = new OffscreenCanvas(width, height).getContext('2d');
        Object.assign(context, { fillStyle: 'white' }).fillRect(0, 0, width, height);
        context.drawImage(frame, 0, 0, width, height);
        const shown = context.getImageData(0, 0, width, height);
        const [expected] = await window.read(() => shown);
        for (const { data } of await window.read(() => frame)) {
          pairs.push({ read: data, expected: expected.data, of: JSON.stringify([format, kind, width, height]) });
        }
        frame.close();
        made.close();
      }
    }
    return pairs;
  });
  for (const { read, expected, of } of pairs) assert.deepEqual(read, expected, of);
});

test('a video element is read as a canvas reads it', { skip }, async () => {
  const { shown, tensors } = await tab.evaluate(async () => {
    const canvas = await window.draw(document.createElement('canvas'), 'rgb.png');
    const video = document.createElement('video');
    Object.assign(video, { srcObject: canvas.captureStream(), muted: true });
    await video.play();
    video.pause();
    const context = new OffscreenCanvas(18, 16).getContext('2d');
    context.drawImage(video, 0, 0);
    const tensors = await window.read(() => video);
    const { VideoFrame } = window;
    delete window.VideoFrame; // as where the page is not secure
    tensors.push(...(await window.read(() => video)));
    Object.assign(window, { VideoFrame });
    return { shown: [...context.getImageData(0, 0, 18, 16).data], tensors };
  });
  const expected = shown.filter((_, i) => i % 4 < 3);
  assert.ok(expected.some((sample) => sample > 0));
  for (const tensor of tensors) assert.deepEqual([...samplesOf(tensor, cfg)], expected);
});

const canvasOf = (width, height) =>
  `Object.assign(document.createElement('canvas'), { width: ${width}, height: ${height} })`;
const closed = (make) => `async () => { const image = ${make}; image.close(); return image; }`;
const detached = `() => {
  const data = new Uint8Array(12);
  structuredClone(data, { transfer: [data.buffer] });
  return { data, width: 2, height: 2, channels: 3 };
}`;
const huge = (file) => `async () => {
  const bytes = new Uint8Array(await (await blob(${JSON.stringify(file)})).arrayBuffer());
  new DataView(bytes.buffer).setUint32(16, 20000);
  new DataView(bytes.buffer).setUint32(20, 20000);
  return new Blob([bytes]);
}`;
const foreign = `async () => {
  const image = Object.assign(new Image(), { src: 'OTHER/rgb.png' });
  await image.decode();
  return image;
}`;
const tainted = (last) => `async () => {
  const canvas = ${canvasOf(18, 16)};
  canvas.getContext('2d').drawImage(await (${foreign})(), 0, 0);
  return ${last};
}`;

for (const [title, make, code, pattern = /./] of [
  ['a file that is no image', "() => new Blob(['<!doctype html>'])", 'ERR_IMAGE_DECODE'],
  ['an empty file', '() => new Blob([])', 'ERR_IMAGE_DECODE'],
  ['half a file', "async () => (await blob('rgb.png')).slice(0, 200)", 'ERR_IMAGE_DECODE'],
  ['an SVG file', "() => blob('unsized.svg')", 'ERR_IMAGE_DECODE'],
  ['a small file that says it is huge', huge('rgb.png'), 'ERR_LIMIT_EXCEEDED', /20000 × 20000/],
  ['an image without a source', '() => new Image()', 'ERR_IMAGE_DECODE'],
  ['a broken image', "() => Object.assign(new Image(), { src: '/page.png' })", 'ERR_IMAGE_DECODE'],
  ['an image of another origin', foreign, 'ERR_IMAGE_DECODE', /crossOrigin/],
  ['a tainted canvas', tainted('canvas'), 'ERR_IMAGE_DECODE', /crossOrigin/],
  ['a bitmap of a tainted canvas', tainted('createImageBitmap(canvas)'), 'ERR_IMAGE_DECODE', /crossOrigin/],
  ['a canvas without pixels', `() => ${canvasOf(0, 4)}`, 'ERR_INPUT_SHAPE'],
  ['an OffscreenCanvas without pixels', '() => new OffscreenCanvas(4, 0)', 'ERR_INPUT_SHAPE'],
  ['a canvas that is too large', `() => ${canvasOf(20000, 20000)}`, 'ERR_LIMIT_EXCEEDED'],
  ['a closed bitmap', closed("await bitmap('rgb.png')"), 'ERR_IMAGE_DECODE', /closed/],
  ['a closed frame', closed("new VideoFrame(await bitmap('rgb.png'), { timestamp: 0 })"), 'ERR_IMAGE_DECODE', /closed/],
  ['a video without data', "() => document.createElement('video')", 'ERR_IMAGE_DECODE', /loadeddata/],
  ['a transferred buffer', detached, 'ERR_INPUT_DETACHED'],
  ['a path', "() => 'photo.jpg'", 'ERR_INVALID_ARGUMENT', /HTMLImageElement/],
  ['nothing', '() => undefined', 'ERR_INVALID_ARGUMENT'],
]) {
  test(`${title} is refused [I01, I02, I06, I13]`, { skip }, async () => {
    for (const error of await tab.evaluate(`fail(${make.replaceAll('OTHER', otherOrigin)})`)) {
      assert.equal(error.code, code, error.message);
      assert.match(error.message, pattern);
      if (code === 'ERR_IMAGE_DECODE') assert.ok(error.cause, 'it has a cause');
    }
    const { rgb } = find('rgb.png');
    assert.equal(await farthest('blob', 'rgb.png', 3, rgb), 0); // the models go on
  });
}

test('half a file is refused', { skip }, async () => {
  const files = halves.map((file) => [...file]);
  const codes = await tab.evaluate(async (files) => {
    const read = (file) => window.models['3 true'].preprocess(new Uint8Array(file));
    return Promise.all(files.map((file) => read(file).catch((error) => error.code)));
  }, files);
  assert.deepEqual([...new Set(codes)], ['ERR_IMAGE_DECODE']);
});

test('a damaged file is read, or refused [I06]', { skip }, async () => {
  const files = Array.from(mutants(1000), (file) => Buffer.from(file).toString('base64'));
  const codes = await tab.evaluate(async (files) => {
    const codes = [];
    for (const file of files) {
      const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
      const result = await window.models['3 true'].preprocess(bytes).catch((error) => error);
      codes.push(result.code ?? 'read');
    }
    return codes;
  }, files);
  assert.deepEqual(
    [...new Set(codes)].filter((code) => code !== 'read' && !mutantErrors.includes(code)),
    [],
  );
  assert.ok(codes.includes('read') && codes.includes('ERR_IMAGE_DECODE'));
});
