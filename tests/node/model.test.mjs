// A model does what its documentation says.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { createModel } from 'wimm';

import { images, rejects } from './support.mjs';

const model = await createModel('resnet18', { threads: 1 });
after(() => model.dispose());

function assertClose(actual, expected, tolerance = 1e-5) {
  assert.deepEqual(actual.shape, expected.shape);
  const largest = expected.data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const error = actual.data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected.data[i])), 0);
  assert.ok(error <= tolerance * largest, `differs by ${error} of ${largest}`);
}

test('it knows its facts', () => {
  assert.equal(model.name, 'resnet18.a1_in1k');
  assert.equal(model.inChans, 3);
  assert.equal(model.numClasses, 1000);
  assert.equal(model.numFeatures, 512);
  assert.equal(model.pretrainedCfg.firstConv, 'conv1');
  assert.match(model.backend.simd, /^(relaxed-)?simd$/);
  assert.deepEqual(
    model.featureInfo.map(({ channels }) => channels),
    [64, 64, 128, 256, 512],
  );
});

test('parameters have the names and shapes of timm', async () => {
  const parameters = model.parameters();
  assert.deepEqual(parameters.get('conv1.weight'), { dtype: 'float32', shape: [64, 3, 7, 7] });
  assert.deepEqual(parameters.get('bn1.num_batches_tracked'), { dtype: 'int64', shape: [] });
  assert.deepEqual(parameters.get('fc.weight'), { dtype: 'float32', shape: [1000, 512] });
  assert.equal(parameters.size, 122);
  assert.equal([...parameters.keys()][0], 'conv1.weight');
  for (const inChans of [1, 25]) {
    const other = await createModel('resnet34', { inChans, threads: 1 });
    assert.deepEqual(other.parameters().get('conv1.weight').shape, [64, inChans, 7, 7]);
    assert.deepEqual((await other.forward(images(inChans, 32))).shape, [1, 1000]);
    other.dispose();
  }
});

test('a model of fixed size takes images of that size, which imgSize sets', async () => {
  const fixed = await createModel('test_vit3', { threads: 1 });
  await rejects(fixed.forward(images(3, 96)), 'ERR_INPUT_SHAPE', /160 × 160.*imgSize: \[96, 96\]/);
  assert.deepEqual((await fixed.forwardFeatures(images(3, 160))).shape, [1, 101, 96]);
  fixed.dispose();
  const resized = await createModel('test_vit3', { imgSize: 96, featuresOnly: true, threads: 1 });
  assert.deepEqual(
    (await resized.forward(images(3, 96))).map(({ shape }) => shape),
    Array(3).fill([1, 96, 6, 6]),
  );
  resized.dispose();
});

test('random weights come from the seed', async () => {
  const outputs = [];
  for (const seed of [1, 1, 2]) {
    const random = await createModel('resnet18', { seed, threads: 1 });
    outputs.push((await random.forward(images(3))).data);
    random.dispose();
  }
  assert.deepEqual(outputs[0], outputs[1]);
  assert.notDeepEqual(outputs[0], outputs[2]);
});

test('forwardHead of forwardFeatures is forward', async () => {
  const x = images(3);
  const features = await model.forwardFeatures(x);
  assert.deepEqual(features.shape, [1, 512, 2, 2]);
  assertClose(await model.forwardHead(features), await model.forward(x));
  const pooled = await model.forwardHead(features, { preLogits: true });
  assert.deepEqual(pooled.shape, [1, 512]);
  const mean = (channel) => features.data.slice(4 * channel, 4 * channel + 4).reduce((a, b) => a + b) / 4;
  assertClose(pooled, { data: Float32Array.from({ length: 512 }, (_, channel) => mean(channel)), shape: [1, 512] });
});

test('a batch gives what its images give alone', async () => {
  const x = images(3);
  const flipped = { data: x.data.slice().reverse(), shape: x.shape };
  const batch = await model.forward({
    data: Float32Array.of(...x.data, ...flipped.data),
    shape: [2, ...x.shape.slice(1)],
  });
  const alone = [await model.forward(x), await model.forward(flipped)];
  assertClose(batch, { data: Float32Array.of(...alone[0].data, ...alone[1].data), shape: [2, 1000] });
});

test('featuresOnly gives a list of feature maps', async () => {
  const features = await createModel('resnet18', { featuresOnly: true, outIndices: [1, -1], threads: 1 });
  const maps = await features.forward(images(3));
  assert.deepEqual(
    maps.map(({ shape }) => shape),
    [
      [1, 64, 16, 16],
      [1, 512, 2, 2],
    ],
  );
  await rejects(
    features.classify({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 }),
    'ERR_INVALID_ARGUMENT',
  );
  features.dispose();
});

test('numClasses and globalPool change the head', async () => {
  for (const [options, shape] of [
    [{ numClasses: 7 }, [1, 7]],
    [{ numClasses: 0 }, [1, 512]],
    [{ numClasses: 0, globalPool: '' }, [1, 512, 2, 2]],
    [{ globalPool: 'catavgmax' }, [1, 1000]],
  ]) {
    const other = await createModel('resnet18', { ...options, threads: 1 });
    assert.deepEqual((await other.forward(images(3))).shape, shape);
    other.dispose();
  }
});

test('a model of two branches has no one tensor of features, but embeds', async () => {
  const model = await createModel('crossvit_tiny_240');
  const x = { data: new Float32Array(3 * 240 * 240), shape: [1, 3, 240, 240] };
  await assert.rejects(model.forwardFeatures(x), { code: 'ERR_INVALID_ARGUMENT', message: /several tensors/ });
  const image = { data: new Uint8Array(240 * 240 * 3), width: 240, height: 240, channels: 3 };
  assert.deepEqual((await model.embed(image)).shape, [1, model.numFeatures]);
  model.dispose();
});

test('classify, embed and preprocess take images [I14]', async () => {
  const image = {
    data: Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => i % 251),
    width: 40,
    height: 30,
    channels: 3,
  };
  const x = await model.preprocess(image);
  assert.deepEqual(x.shape, [1, 3, 224, 224]);
  const { data } = await model.forward(x);
  const exponentials = Array.from(data, Math.exp);
  const sum = exponentials.reduce((a, b) => a + b);
  const classes = await model.classify(image, { topK: 3 });
  assert.equal(classes.length, 3);
  assert.equal(classes[0].index, data.indexOf(Math.max(...data)));
  assert.ok(Math.abs(classes[0].probability - Math.max(...exponentials) / sum) < 1e-9);
  assert.equal(typeof classes[0].label, 'string');
  const twice = await model.classify([image, image]);
  assert.equal(twice.length, 2);
  assert.equal(twice[1].length, 5);
  assert.deepEqual((await model.embed([image, image])).shape, [2, 512]);
  for (const topK of [0, -1, 1.5, 1001, '5'])
    await rejects(model.classify(image, { topK }), 'ERR_INVALID_ARGUMENT', /topK/);
});

test('a wrong number of channels is explained as PyTorch does, and how to mend it', async () => {
  const { message } = await rejects(
    model.forward({ data: new Float32Array(224 * 224), shape: [1, 1, 224, 224] }),
    'ERR_INPUT_SHAPE',
  );
  const [first, second] = message.split('. ');
  assert.equal(
    first,
    'Given weight of size [64, 3, 7, 7], expected input[1, 1, 224, 224] to have 3 channels, but got 1 channels instead',
  );
  assert.match(second, /inChans: 1/);
});

test('input that is no tensor is refused, and the model goes on [I07, I10, I11]', async () => {
  const data = new Float32Array(3 * 64 * 64);
  const detached = new Float32Array(3 * 64 * 64);
  structuredClone(detached, { transfer: [detached.buffer] });
  const cases = [
    ['ERR_INPUT_SHAPE', { data, shape: [3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: [1, 64, 64, 3] }],
    ['ERR_INPUT_SHAPE', { data, shape: [1, 3, 64, 65] }],
    ['ERR_INPUT_SHAPE', { data, shape: [0, 3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: [-1, -3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: [NaN, 3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: [1e9, 3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: ['1', 3, 64, 64] }],
    ['ERR_INPUT_SHAPE', { data, shape: { length: 2 ** 53 } }],
    ['ERR_INPUT_SHAPE', { data }],
    ['ERR_INPUT_DTYPE', { data: new Float64Array(data), shape: [1, 3, 64, 64] }],
    ['ERR_INPUT_DTYPE', { data: Array.from(data), shape: [1, 3, 64, 64] }],
    ['ERR_INPUT_DTYPE', { data: { length: 2 ** 53 }, shape: [1, 3, 64, 64] }],
    ['ERR_INPUT_DTYPE', { data: new Proxy(data, {}), shape: [1, 3, 64, 64] }],
    ['ERR_INPUT_DETACHED', { data: detached, shape: [1, 3, 64, 64] }],
    ['ERR_INVALID_ARGUMENT', null],
    ['ERR_INVALID_ARGUMENT', 'image'],
    [
      'ERR_INVALID_ARGUMENT',
      {
        get data() {
          throw new Error('boo');
        },
        shape: [1],
      },
    ],
  ];
  const before = await model.forward(images(3));
  for (const [code, x] of cases) {
    for (const call of ['forward', 'forwardFeatures', 'forwardHead', 'profile']) await rejects(model[call](x), code);
  }
  assert.deepEqual(await model.forward(images(3)), before);
});

for (const thread of ['own', 'worker'])
  test(`input is that of the call: ${thread} thread [I09]`, async () => {
    const model = await createModel('resnet18', { threads: 1, worker: thread === 'worker' });
    const expected = await model.forward(images(3));
    const shared = { data: new Float32Array(new SharedArrayBuffer(4 * 3 * 64 * 64)), shape: [1, 3, 64, 64] };
    const results = Array.from({ length: 2 }, () => {
      shared.data.set(images(3).data);
      const result = model.forward(shared);
      shared.data.fill(NaN);
      return result;
    });
    assert.deepEqual(await Promise.all(results), [expected, expected]);
    const odd = Object.defineProperty(images(3).data, 'length', { value: 2 ** 40 });
    assert.deepEqual(await model.forward({ data: odd, shape: [1, 3, 64, 64] }), expected);
    model.dispose();
  });

test('calls made at once give what calls one by one give [R03]', async () => {
  const inputs = Array.from({ length: 8 }, (_, i) => images(3, 32 + 32 * (i % 2)));
  inputs.forEach(({ data }, i) => data.forEach((value, at) => (data[at] = value * (i + 1) * 0.1)));
  const expected = [];
  for (const x of inputs) expected.push(await model.forward(x));
  assert.deepEqual(await Promise.all(inputs.map((x) => model.forward(x))), expected);
});

test('profile tells the time and work of each layer', async () => {
  const layers = await model.profile(images(3, 224));
  assert.equal(layers[0].name, 'conv1');
  const multiplyAdds = layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0);
  assert.ok(Math.abs(multiplyAdds / 1.814e9 - 1) < 0.02, `${multiplyAdds}`); // timm's table: 1.8 G
});

test('a model that was disposed of refuses every call, and those under way [R01]', async () => {
  const x = images(3);
  const other = await createModel('resnet18', { threads: 1 });
  const pending = other.forward(x);
  other.dispose();
  other.dispose();
  await rejects(pending, 'ERR_DISPOSED');
  const image = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 };
  for (const call of ['forward', 'forwardFeatures', 'forwardHead', 'profile'])
    await rejects(other[call](x), 'ERR_DISPOSED');
  for (const call of ['classify', 'embed', 'preprocess']) await rejects(other[call](image), 'ERR_DISPOSED');
  await rejects(other.memory(), 'ERR_DISPOSED');
  assert.throws(() => other.parameters(), { code: 'ERR_DISPOSED' });
  other[Symbol.dispose ?? 'dispose']?.();
});
