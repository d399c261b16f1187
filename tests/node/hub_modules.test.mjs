// Of every module, a checkpoint as timm saves it for the Hugging Face Hub loads by its tag and gives timm's numbers
// (tests/parity/make_hub_goldens.py).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { createModel, getPretrainedCfg } from 'wimm';

import { checkpoint, images } from '../parity/synthetic.mjs';
import { assertGolden, goldens } from './goldens.mjs';
import { fetchFrom, safetensorsHead, serve } from './support.mjs';

const entries = JSON.parse(readFileSync(join(import.meta.dirname, '../parity/hub_goldens.json'), 'utf8'));
const bytesOf = { F32: 4, I64: 8 };

/** What the local hub has: one file, in chunks. */
let content = { path: '', size: 0, chunks: () => [] };
const hub = await serve((request, response) => {
  if (request.url !== content.path) return response.writeHead(404).end();
  response.writeHead(200, { 'content-length': content.size });
  Readable.from(content.chunks()).pipe(response);
});

/** The addresses that were asked for. */
const asked = [];
const fetchHere = fetchFrom(hub);
function fetchLocally(address, options) {
  asked.push(address);
  return fetchHere(address, options);
}

/** The tensors [name, { dtype, shape, size, parameter }] of a tag's file, as safetensors orders them: wide types first. */
async function layoutOf(name, { ignored = [] }) {
  const { labelOffset = 0, classifier } = getPretrainedCfg(name);
  const random = await createModel(name, { threads: 1 });
  const tensors = [...random.parameters()].map(([key, parameter]) => {
    const [first, ...rest] = parameter.shape;
    const shape = key.startsWith(`${classifier}.`) ? [first + labelOffset, ...rest] : parameter.shape;
    return [key, { dtype: parameter.dtype === 'int64' ? 'I64' : 'F32', shape, parameter }];
  });
  random.dispose();
  for (const [key, dtype, shape] of ignored) tensors.push([key, { dtype, shape }]);
  for (const [, tensor] of tensors) tensor.size = tensor.shape.reduce((a, b) => a * b, bytesOf[tensor.dtype]);
  const byName = ([a], [b]) => (a < b ? -1 : 1);
  return tensors.sort(byName).sort(([, a], [, b]) => bytesOf[b.dtype] - bytesOf[a.dtype]);
}

/** The data of the file, a tensor at a time. Zeros are rows of the background, which timm drops, and what is no parameter. */
function* dataOf(layout, gain) {
  for (const [name, { size, parameter }] of layout) {
    const data = parameter ? checkpoint([[name, parameter]], gain).get(name).data : new Float32Array();
    yield Buffer.alloc(size - data.byteLength);
    yield Buffer.from(data.buffer);
  }
}

function fileOf(layout, { url, gain }) {
  const head = safetensorsHead(layout);
  return {
    path: new URL(url).pathname,
    size: layout.reduce((total, [, { size }]) => total + size, head.length),
    *chunks() {
      yield head;
      yield* dataOf(layout, gain);
    },
  };
}

function digestOf(layout) {
  const lines = layout.map(([name, { dtype, shape }]) => `${name} ${dtype} ${JSON.stringify(shape)}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** What timm computes from the file: of an entry's own or a golden's image, and of one channel where that takes little. */
function casesOf(entry, numClasses) {
  const ofFile = goldens.filter(
    ({ model, gain, dtype, num_classes, global_pool, sized_checkpoint }) =>
      isDeepStrictEqual([model, gain, dtype, num_classes], [entry.model, entry.gain, 'float32', numClasses]) &&
      global_pool === undefined &&
      !sized_checkpoint,
  );
  const isPlain = ({ input, img_size }) => isDeepStrictEqual([input, img_size], [entry.input, entry.img_size]);
  const isGray = ({ in_chans, state_dict }) => in_chans === 1 && state_dict.elements < 6e6;
  return [entry.logits ? entry : ofFile.find(isPlain), ...ofFile.filter(isGray).slice(0, 1)];
}

for (const entry of entries) {
  const name = `${entry.model}.${entry.tag}`;
  test(`${entry.module}: ${name}`, async () => {
    const layout = await layoutOf(name, entry);
    assert.deepEqual([layout.length, digestOf(layout)], [entry.tensors, entry.digest]);
    content = fileOf(layout, entry);
    for (const { input, img_size: imgSize, logits } of casesOf(entry, getPretrainedCfg(name).numClasses)) {
      asked.length = 0;
      const options = { pretrained: true, imgSize, inChans: input[1], fetch: fetchLocally, cache: false, threads: 1 };
      const model = await createModel(name, options);
      assert.deepEqual(asked, [entry.url]);
      assertGolden('logits', await model.forward(images(input)), logits);
      model.dispose();
    }
  });
}
