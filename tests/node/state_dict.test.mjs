// Every way in which a state dict may disagree with the model: a typed error that names what differs, before any kernel.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createModel } from 'wimm';

import { images, rejects, safetensors, weightsOf } from './support.mjs';

const architecture = 'test_resnet';
const template = await createModel(architecture, { threads: 1 });
const parameters = template.parameters();
const weights = weightsOf(template);
template.dispose();
const names = [...weights.keys()];

const load = (tensors, options) => createModel(architecture, { weights: safetensors(tensors), threads: 1, ...options });
const floats = (shape) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
const replaced = (name, tensor) => new Map([...weights, [name, tensor]]);
const without = (...omitted) => new Map([...weights].filter(([name]) => !omitted.includes(name)));
const mismatch = (tensors) => rejects(load(tensors), 'ERR_STATE_DICT_MISMATCH');

async function logits(tensors, options) {
  const model = await load(tensors, options);
  try {
    return (await model.forward(images(model.inChans))).data;
  } finally {
    model.dispose();
  }
}
const expected = await logits(weights);

test('missing tensors are all listed, and some of them named [D01]', async () => {
  for (const name of [names[0], names.at(-1)]) {
    const { details, message } = await mismatch(without(name));
    assert.deepEqual(details, { missing: [name], unexpected: [], mismatched: [] });
    assert.match(message, new RegExp(name.replaceAll('.', '\\.')));
  }
  const { details, message } = await mismatch(new Map([['x', floats([1])]]));
  assert.deepEqual(new Set(details.missing), new Set(names));
  assert.ok(message.length < 4000);
});

test('unexpected tensors are an error, or reported where strict is false [D02]', async () => {
  const extra = ['head.weight', 'ema.conv1.weight', 'optimizer.state.0.exp_avg'];
  const more = new Map([...weights, ...extra.map((name) => [name, floats([2])])]);
  const { details } = await mismatch(more);
  assert.deepEqual(new Set(details.unexpected), new Set(extra));
  const model = await load(more, { strict: false });
  assert.deepEqual(new Set(model.loadReport.unexpected), new Set(extra));
  assert.deepEqual((await model.forward(images(3))).data, expected);
  model.dispose();
});

test('a tensor of another shape is an error that has both shapes, even of as many elements [D03]', async () => {
  const { shape } = weights.get('fc.weight');
  const others = [shape.toReversed(), [...shape, 1, 1], [1, ...shape], [shape[0] * shape[1]], [shape[0], shape[1] + 1]];
  for (const other of others) {
    const { details } = await mismatch(replaced('fc.weight', floats(other)));
    assert.equal(details.mismatched.length, 1);
    for (const shown of [shape, other]) assert.ok(details.mismatched[0].includes(`[${shown.join(', ')}]`));
  }
  for (const name of names) {
    const { shape } = weights.get(name);
    await mismatch(replaced(name, floats(shape.with(0, shape[0] + 1))));
    await mismatch(replaced(name, floats(shape.with(-1, shape.at(-1) + 1))));
  }
});

test('tensors without elements, or without dimensions, are an error; batch counts may have any shape [D04]', async () => {
  const bias = names.find((name) => name.endsWith('bn1.bias'));
  for (const shape of [[0], [], [0, 3]]) await mismatch(replaced(bias, floats(shape)));
  const count = [...parameters.keys()].find((name) => name.endsWith('num_batches_tracked'));
  for (const [dtype, data] of Object.entries({
    I64: new BigInt64Array(1),
    F32: new Float32Array(1),
    U8: new Uint8Array(1),
  }))
    for (const shape of [[], [1]]) assert.deepEqual(await logits(replaced(count, { dtype, shape, data })), expected);
});

test('integers and booleans are never taken for weights [D05]', async () => {
  const { shape } = weights.get('fc.bias');
  for (const [dtype, type] of Object.entries({
    I64: BigInt64Array,
    I32: Int32Array,
    U16: Uint16Array,
    BOOL: Uint8Array,
  })) {
    const { details } = await mismatch(replaced('fc.bias', { dtype, shape, data: new type(shape[0]) }));
    assert.match(details.mismatched[0], /fc\.bias/);
  }
});

test('statistics whose root is no number are an error that names them [D11]', async () => {
  const name = names.find((name) => name.endsWith('running_var'));
  for (const value of [-1, NaN]) {
    const { shape, data } = weights.get(name);
    await rejects(load(replaced(name, { shape, data: data.with(0, value) })), 'ERR_WEIGHTS_NONFINITE');
  }
});

test('a load that fails at any tensor leaves memory and other models as they were [D14]', async () => {
  const live = await load(weights);
  const before = (await live.forward(images(3))).data;
  const fail = async (name) => {
    const { shape, data } = weights.get(name);
    const damaged = replaced(name, { shape, data: data.with(0, NaN) });
    await rejects(load(damaged, { checkFinite: true }), 'ERR_WEIGHTS_NONFINITE');
    return live.memory();
  };
  const settled = await fail(names[0]);
  for (let i = 0; i < names.length; i += 3) assert.deepEqual(await fail(names[i]), settled, names[i]);
  assert.deepEqual((await live.forward(images(3))).data, before);
  live.dispose();
});
