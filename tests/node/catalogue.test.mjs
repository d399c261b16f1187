// The catalogue answers as timm 1.0.31 and 0.3.4 do (fixtures/make_catalogue_golden.py asked them).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { importSource } from './import_source.mjs';

const {
  getPretrainedCfg,
  imagenetLabels,
  isModel,
  isModelPretrained,
  listModels,
  listModules,
  listPretrainedTags,
  matchesWildcard,
  resolveModel,
  WimmError,
} = await importSource(['catalogue/index.ts', 'catalogue/imagenet-labels.ts', 'catalogue/match.ts', 'errors.ts']);
const golden = JSON.parse(await readFile(new URL('fixtures/catalogue-golden.json', import.meta.url), 'utf8'));
const everything = listModels({ release: '1.0.31' });

const sha256 = (lines) => createHash('sha256').update(lines.join('\n')).digest('hex');
const sortKeys = (object) => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));

test('every listing is the one of timm', () => {
  for (const { filter, options, names } of golden.listings) {
    const got = listModels(filter, options);
    const wanted = Array.isArray(names) ? got : { count: got.length, first: got.slice(0, 5), sha256: sha256(got) };
    assert.deepEqual(wanted, names, JSON.stringify({ filter, options }));
  }
});

test('every cfg of every tag is the one of timm', () => {
  for (const [module, digest] of Object.entries(golden.cfgs)) {
    const options = { module, release: '1.0.31' };
    const names = new Set([...listModels(options), ...listModels({ ...options, tags: true })]);
    const lines = [...names].sort().map((name) => `${name}\t${JSON.stringify(sortKeys(getPretrainedCfg(name)))}`);
    assert.equal(sha256(lines), digest, module);
  }
  assert.deepEqual(getPretrainedCfg('resnet34'), golden.resnet34);
});

test('the tags of every architecture are those of timm, the default one first', () => {
  assert.equal(sha256(everything.map((name) => `${name}\t${listPretrainedTags(name).join(' ')}`)), golden.tags);
  assert.deepEqual(listPretrainedTags('tf_efficientnet_b0_ns'), listPretrainedTags('tf_efficientnet_b0'));
});

test("wildcards match as Python's fnmatch does", () => {
  const { names, matches } = golden.wildcards;
  for (const [pattern, matched] of Object.entries(matches)) {
    assert.deepEqual(
      names.filter((name) => matchesWildcard(name, pattern)),
      matched,
      pattern,
    );
  }
});

test('the first names of timm 0.3.4 are those of its guide', () => {
  const release = '0.3.4';
  const all = ['adv_inception_v3', 'cspdarknet53', 'cspdarknet53_iabn', 'cspresnet50', 'cspresnet50d'];
  const pretrained = ['adv_inception_v3', 'cspdarknet53', 'cspresnet50', 'cspresnext50', 'densenet121'];
  assert.deepEqual(listModels({ release }).slice(0, 5), all);
  assert.deepEqual(listModels('', { release, pretrained: true }).slice(0, 5), pretrained);
  assert.deepEqual(listModels({ release, tags: true }), listModels({ release }));
});

test('an older name has the cfg of its replacement', () => {
  for (const [name, replacement] of Object.entries(golden.deprecated)) {
    assert.ok(isModel(name), name);
    assert.deepEqual(getPretrainedCfg(name), getPretrainedCfg(replacement), name);
    assert.equal(isModelPretrained(name), isModelPretrained(replacement), name);
  }
});

test('a name that timm has dropped has the cfg of timm 0.3.4', () => {
  const pretrained = listModels({ release: '0.3.4', pretrained: true });
  for (const [name, cfg] of Object.entries(golden.retired)) {
    const got = getPretrainedCfg(name);
    for (const [key, value] of Object.entries(cfg)) assert.deepEqual(got[key], value, `${name} ${key}`);
    assert.equal(isModelPretrained(name), pretrained.includes(name), name);
  }
});

test('every name of timm 0.3.4 is a model', () => {
  for (const name of listModels({ release: '0.3.4' })) {
    assert.ok(isModel(name), name);
    assert.ok(getPretrainedCfg(name).numClasses > 0, name);
  }
});

test("by default only models of implemented modules are listed, without timm's largest", () => {
  const names = new Set(listModels());
  for (const name of listModels({ module: listModules(), release: '1.0.31' })) {
    if (names.has(name)) assert.equal(resolveModel(name).arch, name);
    else assert.throws(() => resolveModel(name), { code: 'ERR_UNKNOWN_MODEL', message: /largest/ });
  }
  assert.ok(names.has('resnet34') && !names.has('vit_7b_patch16_dinov3'));
  assert.throws(() => resolveModel('gemma4_vit_167m'), { code: 'ERR_UNKNOWN_MODEL', message: /gemma4_vit/ });
});

test('a name resolves to its architecture and tag', () => {
  const resolve = (name) => (({ arch, tag, module }) => [arch, tag, module])(resolveModel(name));
  assert.deepEqual(resolve('resnet34'), ['resnet34', 'a1_in1k', 'resnet']);
  assert.deepEqual(resolve('resnet34.tv_in1k'), ['resnet34', 'tv_in1k', 'resnet']);
  assert.deepEqual(resolve('tv_resnet34'), ['resnet34', 'tv_in1k', 'resnet']);
  assert.deepEqual(resolve('tf_efficientnet_b0_ns'), ['tf_efficientnet_b0', 'ns_jft_in1k', 'efficientnet']);
  assert.deepEqual(resolve('resnet101d_320'), ['resnet101d_320', '', 'resnet']);
});

test('a cfg is a fresh copy', () => {
  getPretrainedCfg('resnet34').mean[0] = 7;
  getPretrainedCfg('resnet34').hfHubId = '';
  assert.deepEqual(getPretrainedCfg('resnet34'), golden.resnet34);
});

test('an unknown name is refused with the nearest ones', () => {
  const nearest = (name) => {
    try {
      getPretrainedCfg(name);
    } catch (error) {
      assert.ok(error instanceof WimmError);
      assert.equal(error.code, 'ERR_UNKNOWN_MODEL');
      return error.details.nearest;
    }
    return assert.fail(`${name} is no model`);
  };
  assert.equal(nearest('resnet43')[0], 'resnet34');
  assert.equal(nearest('ResNet-34')[0], 'resnet34');
  assert.equal(nearest('tf_efficientnet_lite_0')[0], 'tf_efficientnet_lite0');
  assert.equal(nearest('resnet34.a1_in1')[0], 'resnet34.a1_in1k');
  assert.ok(nearest('resnet34.').every((name) => name.startsWith('resnet34.')));
});

test('hostile names are refused, quickly and with a short message', () => {
  const strings = ['', '.', '__proto__', 'constructor', 'toString', 'resnet34.__proto__', '\0\u202e', 'a'.repeat(1e7)];
  for (const name of strings) {
    assert.throws(
      () => resolveModel(name),
      (error) => error.code === 'ERR_UNKNOWN_MODEL' && error.message.length < 500,
    );
    assert.equal(isModelPretrained(name), false);
  }
  for (const name of [
    undefined,
    null,
    0,
    NaN,
    {},
    ['resnet34'],
    Symbol('resnet34'),
    () => 'resnet34',
    new String('resnet34'),
  ]) {
    for (const call of [resolveModel, getPretrainedCfg, listPretrainedTags]) {
      assert.throws(() => call(name), { code: 'ERR_INVALID_ARGUMENT' });
    }
    assert.equal(isModel(name), false);
  }
});

test('nonsense options are refused', () => {
  const calls = [
    [7], [[7]], [Symbol('*')], ['*'.repeat(1e7)],
    ['', 7], ['', null], ['', { exclude: 7 }], ['', { module: [null] }], ['', { pretrained: 'yes' }], ['', { tags: 1 }],
    ['', { release: '9' }], ['', { release: '__proto__' }],
  ]; // prettier-ignore
  for (const call of calls)
    assert.throws(() => listModels(...call), { name: 'WimmError', code: 'ERR_INVALID_ARGUMENT' });
});

test("the labels are ImageNet-1k's", () => {
  assert.equal(imagenetLabels.length, 1000);
  assert.equal(imagenetLabels[282], 'tiger cat');
  assert.equal(imagenetLabels[285], 'Egyptian cat');
  assert.equal(imagenetLabels[967], 'espresso');
});
