// Weights come from anywhere, are told apart by content, and must fit.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

import { adaptInputConv, createModel, loadStateDict } from 'wimm';

import { images, rejects, safetensors, temporaryFolder, weightsOf } from './support.mjs';

const template = await createModel('resnet18', { threads: 1 });
const weights = weightsOf(template);
template.dispose();
const bytes = safetensors(weights);
const path = join(temporaryFolder(), 'resnet18.safetensors');
writeFileSync(path, bytes);

async function logits(options) {
  const model = await createModel('resnet18', { threads: 1, ...options });
  try {
    return (await model.forward(images(model.inChans))).data;
  } finally {
    model.dispose();
  }
}
const expected = await logits({ weights: path });

const streamOf = (...chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

const sources = {
  'a file: URL': () => pathToFileURL(path),
  'a file: string': () => pathToFileURL(path).href,
  'an ArrayBuffer': () => bytes.slice().buffer,
  'a Uint8Array': () => bytes,
  'a Buffer': () => readFileSync(path),
  'a view inside a buffer': () => Buffer.concat([Buffer.alloc(3), bytes]).subarray(3),
  'a Blob': () => new Blob([bytes]),
  'a File': () => new File([bytes], 'resnet18.safetensors'),
  'a Response': () => new Response(bytes),
  'a ReadableStream': () => streamOf(bytes.subarray(0, 1000), bytes.subarray(1000)),
  'a data: URL': () => `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`,
};

for (const [name, source] of Object.entries(sources)) {
  test(`weights may be ${name}`, async () => assert.deepEqual(await logits({ weights: source() }), expected));
}

test('loading tells its progress, to the end', async () => {
  const progress = [];
  const onProgress = (step) => progress.push(step);
  await logits({ weights: new Blob([bytes]), onProgress });
  for (const stage of ['download', 'load', 'compile']) {
    const steps = progress.filter((step) => step.stage === stage);
    assert.equal(steps.at(-1).loaded, steps.at(-1).total, stage);
    assert.ok(
      steps.every(({ loaded }, i) => i === 0 || loaded >= steps[i - 1].loaded),
      stage,
    );
  }
});

test('a listener that throws, or aborts, stops the load', async () => {
  for (const stage of ['download', 'load', 'compile']) {
    const boo = () => {
      throw new Error('boo');
    };
    const options = { weights: new Blob([bytes]), onProgress: (step) => step.stage === stage && boo() };
    const error = await rejects(logits(options), 'ERR_INVALID_ARGUMENT', /onProgress/);
    assert.equal(error.cause.message, 'boo');
    const controller = new AbortController();
    const abort = (step) => step.stage === stage && controller.abort('enough');
    const aborted = await rejects(logits({ ...options, onProgress: abort, signal: controller.signal }), 'ERR_ABORTED');
    assert.equal(aborted.name, 'AbortError');
    assert.equal(aborted.cause, 'enough');
  }
  await rejects(logits({ weights: path, signal: AbortSignal.abort() }), 'ERR_ABORTED');
});

test('things that hold no weights are refused [N03, N16]', async () => {
  const detached = bytes.slice();
  structuredClone(detached, { transfer: [detached.buffer] });
  const used = new Response(bytes);
  await used.arrayBuffer();
  const locked = streamOf(bytes);
  locked.getReader();
  const cases = [
    ['ERR_INPUT_DETACHED', detached],
    ['ERR_INPUT_DETACHED', detached.buffer],
    ['ERR_INVALID_ARGUMENT', used],
    ['ERR_INVALID_ARGUMENT', locked],
    ['ERR_INVALID_ARGUMENT', streamOf('text')],
    ['ERR_INVALID_ARGUMENT', join(temporaryFolder(), 'absent.pth')],
    ['ERR_INVALID_ARGUMENT', temporaryFolder()],
    ['ERR_INVALID_ARGUMENT', 'weights\0.pth'],
    ['ERR_INVALID_ARGUMENT', new URL('ftp://localhost/weights')],
    ['ERR_INVALID_ARGUMENT', 'https://user:secret@localhost/weights'],
    ['ERR_INVALID_ARGUMENT', `https://localhost/${'x'.repeat(1e6)}`],
    ['ERR_HTTP_STATUS', new Response('', { status: 404 })],
    ['ERR_FORMAT_UNKNOWN', new Blob(['<!doctype html><title>Log in</title>'])],
    ['ERR_FORMAT_UNKNOWN', new Blob(['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'])],
    ['ERR_FORMAT_UNKNOWN', gzipSync(bytes, { level: 1 })],
    [['ERR_FORMAT_TRUNCATED', 'ERR_FORMAT_UNKNOWN'], new Uint8Array()],
    [['ERR_FORMAT_TRUNCATED', 'ERR_FORMAT_CORRUPT'], bytes.subarray(0, -1)],
  ];
  for (const [code, source] of cases) {
    const { message } = await rejects(logits({ weights: source }), code);
    assert.doesNotMatch(message, /secret/);
    assert.ok(message.length < 1000, message);
  }
  await rejects(logits({ weights: new Blob(['<html><title>Log in</title>']) }), 'ERR_FORMAT_UNKNOWN', /HTML/);
  await rejects(logits({ weights: streamOf(bytes), maxBytes: 1000 }), 'ERR_LIMIT_EXCEEDED', /maxBytes/);
});

test('integrity is the digest of the file, in base64 or hexadecimal [N14]', async () => {
  const digest = createHash('sha256').update(bytes);
  const hex = digest.copy().digest('hex');
  const wrong = hex.replace(/^./, hex[0] === '0' ? '1' : '0');
  for (const source of [path, bytes]) {
    await logits({ weights: source, integrity: `sha256-${hex}` });
    await logits({ weights: source, integrity: `sha256-${digest.copy().digest('base64')}` });
    const { details } = await rejects(logits({ weights: source, integrity: `sha256-${wrong}` }), 'ERR_INTEGRITY');
    assert.deepEqual(details, { expected: wrong, actual: hex });
  }
});

test('parameters must be those of the model', async () => {
  const changed = new Map(weights);
  changed.delete('fc.bias');
  changed.set('extra.weight', { shape: [1], data: new Float32Array(1) });
  changed.set('conv1.weight', { shape: [3, 64, 7, 7], data: weights.get('conv1.weight').data });
  const options = { weights: safetensors(changed) };
  const { details } = await rejects(logits(options), 'ERR_STATE_DICT_MISMATCH', /fc\.bias/);
  assert.deepEqual(details.missing, ['fc.bias']);
  assert.deepEqual(details.unexpected, ['extra.weight']);
  assert.equal(details.mismatched.length, 1);
  assert.match(
    details.mismatched[0],
    /conv1\.weight.*\[3, 64, 7, 7\].*\[64, 3, 7, 7\]|conv1\.weight.*\[64, 3, 7, 7\].*\[3, 64, 7, 7\]/,
  );

  changed.set('conv1.weight', weights.get('conv1.weight'));
  const model = await createModel('resnet18', { weights: safetensors(changed), strict: false, threads: 1 });
  assert.deepEqual(model.loadReport, { missing: ['fc.bias'], unexpected: ['extra.weight'], mismatched: [] });
  model.dispose();
});

test('integers where float weights are due are a mismatch', async () => {
  const changed = new Map(weights);
  changed.set('fc.bias', { dtype: 'I32', shape: [1000], data: new Int32Array(1000) });
  await rejects(logits({ weights: safetensors(changed) }), 'ERR_STATE_DICT_MISMATCH', /fc\.bias/);
});

test('the tensors of a checkpoint are under the key of choice [D12]', async () => {
  const file = join(import.meta.dirname, '../faults/torch/V18_model_ema.pth'); // model_ema is model and 1
  const values = async (key) => (await loadStateDict(file, { key })).get('conv.weight').data;
  const averaged = await values('model_ema');
  assert.deepEqual(averaged, await values(undefined));
  assert.deepEqual(
    averaged,
    (await values('model')).map((value) => value + 1),
  );
  for (const key of ['', 'none', 'optimizer', 'epoch', '__proto__']) {
    await rejects(values(key), 'ERR_STATE_DICT_MISMATCH', /"model", "model_ema"/);
  }
  await rejects(logits({ weights: file, key: 'none' }), 'ERR_STATE_DICT_MISMATCH', /"model", "model_ema"/);
  await rejects(logits({ weights: bytes, key: 'model' }), 'ERR_STATE_DICT_MISMATCH', /without a key/);
  assert.deepEqual(await logits({ weights: bytes, key: '' }), expected);
  for (const key of [1, null, ['model']]) await rejects(values(key), 'ERR_INVALID_ARGUMENT', /key/);
});

test('weights that are not finite load, or are an error with checkFinite [D10]', async () => {
  for (const value of [NaN, -Infinity]) {
    const data = weights.get('fc.weight').data.with(7, value);
    const damaged = safetensors(new Map([...weights, ['fc.weight', { ...weights.get('fc.weight'), data }]]));
    assert.ok(!Number.isFinite((await logits({ weights: damaged }))[0]));
    assert.deepEqual((await loadStateDict(damaged)).get('fc.weight').data, data);
    for (const load of [
      () => loadStateDict(damaged, { checkFinite: true }),
      () => logits({ weights: damaged, checkFinite: true }),
    ]) {
      const { tensor } = await rejects(load(), 'ERR_WEIGHTS_NONFINITE', /element 7 of "fc\.weight"/);
      assert.equal(tensor, 'fc.weight');
    }
  }
  assert.deepEqual(await logits({ weights: bytes, checkFinite: true }), expected);
});

test('weights that a narrower type cannot hold are an error [D10]', async () => {
  const changed = (name, tensor) => safetensors(new Map([...weights, [name, { ...weights.get(name), ...tensor }]]));
  const large = changed('fc.weight', { data: weights.get('fc.weight').data.with(5, 1e6) });
  await rejects(logits({ weights: large, dtype: 'float16' }), 'ERR_WEIGHTS_NONFINITE', /element 5 of "fc\.weight"/);
  const doubles = Float64Array.from(weights.get('fc.bias').data).with(9, 1e300);
  const wide = changed('fc.bias', { dtype: 'F64', data: doubles });
  await rejects(logits({ weights: wide }), 'ERR_WEIGHTS_NONFINITE', /element 9 of "fc\.bias"/);
  const halves = new Uint16Array(64 * 3 * 49).fill(0x7b00); // 57344, three of which half precision cannot add
  const half = changed('conv1.weight', { dtype: 'F16', data: halves });
  await rejects(logits({ weights: half, inChans: 1 }), 'ERR_WEIGHTS_NONFINITE');
});

test('another number of classes drops the classifier of the weights [D08]', async () => {
  const model = await createModel('resnet18', { weights: bytes, numClasses: 7, threads: 1 });
  assert.deepEqual((await model.forward(images(3))).shape, [1, 7]);
  model.dispose();
});

test('float16 weights are those of float32, rounded', async () => {
  const rounded = await logits({ weights: bytes, dtype: 'float16' });
  const largest = Math.max(...expected.map(Math.abs));
  const error = Math.max(...rounded.map((value, i) => Math.abs(value - expected[i])));
  assert.ok(error > 0 && error < 0.02 * largest, `${error} of ${largest}`);
});

test('loadStateDict gives the tensors of a file', async () => {
  const tensors = await loadStateDict(bytes);
  assert.deepEqual([...tensors.keys()].sort(), [...weights.keys()].sort());
  for (const [name, { shape, data }] of weights) assert.deepEqual(tensors.get(name), { dtype: 'float32', shape, data });
});

test('loadStateDict keeps every type and odd names', async () => {
  const stored = new Map([
    ['__proto__', { dtype: 'F32', shape: [2], data: Float32Array.of(1, -0) }],
    ['constructor', { dtype: 'F64', shape: [1, 1], data: Float64Array.of(Math.PI) }],
    ['toString', { dtype: 'I64', shape: [], data: BigInt64Array.of(-(2n ** 62n)) }],
    ['half', { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) }],
    ['brain', { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) }],
    ['flag', { dtype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) }],
  ]);
  const tensors = await loadStateDict(safetensors(stored));
  const dtypes = { F32: 'float32', F64: 'float64', I64: 'int64', F16: 'float16', BF16: 'bfloat16', BOOL: 'bool' };
  for (const [name, { dtype, shape, data }] of stored) {
    assert.deepEqual(tensors.get(name), { dtype: dtypes[dtype], shape, data });
  }
});

test('adaptInputConv sums to one channel, or repeats and scales [D08]', async () => {
  const weight = {
    dtype: 'float32',
    shape: [2, 3, 1, 2],
    data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
  };
  assert.deepEqual(await adaptInputConv(weight, 1), {
    dtype: 'float32',
    shape: [2, 1, 1, 2],
    data: Float32Array.of(9, 12, 27, 30),
  });
  for (const inChans of [2, 3, 4, 8, 25]) {
    const data = new Float32Array(2 * inChans * 2);
    for (let out = 0; out < 2; out++) {
      for (let channel = 0; channel < inChans; channel++) {
        for (let at = 0; at < 2; at++) {
          data[(out * inChans + channel) * 2 + at] = Math.fround(
            weight.data[(out * 3 + (channel % 3)) * 2 + at] * Math.fround(3 / inChans),
          );
        }
      }
    }
    assert.deepEqual(await adaptInputConv(weight, inChans), { dtype: 'float32', shape: [2, inChans, 1, 2], data });
  }
  for (const inChans of [0, -1, 1.5, NaN, '3', 1e9])
    await rejects(adaptInputConv(weight, inChans), 'ERR_INVALID_ARGUMENT', /inChans/);
  for (const bad of [null, {}, { ...weight, shape: [2, 3] }, { ...weight, dtype: 'int8' }]) {
    await rejects(adaptInputConv(bad, 1), 'ERR_INVALID_ARGUMENT');
  }
});
