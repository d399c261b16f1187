// Nonsense in options is refused by name, before anything is loaded.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { capabilities, configure, createModel, loadStateDict } from 'wimm';

import { rejects } from './support.mjs';

const hostileNumbers = [
  -1,
  1.5,
  NaN,
  Infinity,
  -Infinity,
  '3',
  null,
  true,
  1e9,
  2 ** 31,
  2 ** 32 + 3,
  3n,
  [3],
  {},
  Symbol('3'),
];
const numericOptions = {
  inChans: [0],
  numClasses: [],
  threads: [0],
  imgSize: [0],
  maxBytes: [0],
  idleTimeout: [0],
  seed: [],
};
const large = new Set(['maxBytes', 'seed', 'idleTimeout']);

for (const [option, more] of Object.entries(numericOptions)) {
  test(`${option} must be an integer in its range [D06, D07, R12]`, async () => {
    for (const value of [...hostileNumbers, ...more]) {
      if (large.has(option) && typeof value === 'number' && Number.isSafeInteger(value) && value > 0) continue;
      await rejects(
        createModel('resnet18', { [option]: value }),
        'ERR_INVALID_ARGUMENT',
        new RegExp(`\\b${option}\\b`),
      );
    }
  });
}

const otherOptions = {
  pretrained: [1, 'true', null],
  weights: [null, 7, {}, [], true, ''],
  hub: ['', 'huggingface.co', 'file:///tmp', 'ftp://host', 7, 'https://user:secret@host'],
  globalPool: ['AVG', 'mean', null, 3],
  dtype: ['int4', 'float64', null, 16],
  cache: [null, 'yes', {}, { match() {} }],
  onProgress: [null, 'log', {}],
  signal: [null, {}, 'abort'],
  fetch: [null, 'fetch', {}],
  integrity: ['', 'sha256-', 'sha1-abc', 'abc', null, `sha256-${'x'.repeat(64)}`],
  outIndices: [0, [1.5], ['1'], [1e9], null],
  strict: [0, null],
  featuresOnly: ['yes', null],
  worker: ['yes', null],
  simd: ['plain', 'relaxed', true, null],
};

for (const [option, values] of Object.entries(otherOptions)) {
  test(`${option} must be of its type`, async () => {
    for (const value of values) {
      await rejects(
        createModel('resnet18', { [option]: value }),
        'ERR_INVALID_ARGUMENT',
        new RegExp(`\\b${option}\\b`),
      );
    }
  });
}

test('unknown options, and options that are no object, are refused', async () => {
  await rejects(
    createModel('resnet18', { inChannels: 1 }),
    'ERR_INVALID_ARGUMENT',
    /unknown option "inChannels".*inChans/,
  );
  for (const options of [null, 7, 'avg', []]) await rejects(createModel('resnet18', options), 'ERR_INVALID_ARGUMENT');
});

test('options that throw when they are read are refused', async () => {
  const thrower = {
    get inChans() {
      throw new Error('boo');
    },
  };
  const error = await rejects(createModel('resnet18', thrower), 'ERR_INVALID_ARGUMENT');
  assert.equal(error.cause.message, 'boo');
});

test('a polluted Object.prototype changes nothing [R21]', async () => {
  Object.prototype.inChans = 99;
  try {
    const model = await createModel('resnet18', { threads: 1 });
    assert.equal(model.inChans, 3);
    model.dispose();
  } finally {
    delete Object.prototype.inChans;
  }
});

test('names that are no models are refused, with the nearest ones [D09]', async () => {
  await rejects(createModel('resnet35'), 'ERR_UNKNOWN_MODEL', /resnet34/);
  for (const name of ['__proto__', 'constructor', '', 'x'.repeat(1e7)]) {
    const { message } = await rejects(createModel(name), 'ERR_UNKNOWN_MODEL');
    assert.ok(message.length < 1000);
  }
  for (const name of [undefined, null, 7, {}]) await rejects(createModel(name), 'ERR_INVALID_ARGUMENT');
});

test('loadStateDict checks its options as well', async () => {
  await rejects(loadStateDict(new Uint8Array(), { maxBytes: -1 }), 'ERR_INVALID_ARGUMENT', /maxBytes/);
});

test('configure sets defaults, and refuses nonsense', async () => {
  assert.throws(() => configure({ threads: 0 }), { code: 'ERR_INVALID_ARGUMENT' });
  assert.throws(() => configure({ nonsense: 1 }), { code: 'ERR_INVALID_ARGUMENT' });
  assert.throws(() => configure(), { code: 'ERR_INVALID_ARGUMENT' });
  configure({ threads: 1 });
  const { variant, simd } = await capabilities();
  assert.equal(simd, true);
  assert.doesNotMatch(variant, /threads/);
  const model = await createModel('resnet18');
  assert.equal(model.backend.threads, 1);
  model.dispose();
});
