// How much of timm is covered: node scripts/coverage.mjs [--check]
//
// For each module and in all, of the names that timm 1.0.31 and 0.3.4 list: those that createModel creates, and those that a
// golden proves; the pretrained tags of timm 1.0.31, and those whose models are created; the layouts of checkpoints that a
// golden proves, of the Hugging Face Hub and of authors; and the input channels of the goldens. With --check, a name that is
// created without a golden is a failure, and a module that is created and has tags, but no golden of the Hub's layout.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { importSource } from '../tests/node/import_source.mjs';
import { UserError, root, runMain } from './process.mjs';

const { catalogue, listModules, resolveModel } = await importSource(['catalogue/table.ts', 'catalogue/index.ts']);

// By architecture, the input channels of its goldens.
function readGoldens() {
  const channels = new Map();
  for (const file of readdirSync(join(root, 'tests/parity/goldens'))) {
    for (const { model, in_chans } of readParity(join('goldens', file)).cases)
      channels.set(model, (channels.get(model) ?? new Set()).add(in_chans));
  }
  return channels;
}

// The models of goldens of checkpoints, one for each layout.
const layouts = readParity('filter_goldens.json');
const hubLayouts = readParity('hub_goldens.json');

function readParity(file) {
  return JSON.parse(readFileSync(join(root, 'tests/parity', file), 'utf8'));
}

// Names and modules as timm lists them, by release.
const releases = {
  '1.0.31': [...catalogue().architectures.values()],
  '0.3.4': catalogue().releases.get('0.3.4'),
};

// The architecture that a name creates, if any.
function created(name) {
  try {
    return resolveModel(name).arch;
  } catch {
    return undefined;
  }
}

function count(models, goldens) {
  const architectures = models.map(({ name }) => created(name)).filter(Boolean);
  return {
    listed: models.length,
    created: architectures.length,
    golden: architectures.filter((name) => goldens.has(name)).length,
    channels: architectures.flatMap((name) => [...(goldens.get(name) ?? [])]),
  };
}

function tagsOf(architectures) {
  return architectures.flatMap((architecture) => architecture.tags.filter((tag) => architecture.hasWeights(tag)));
}

// The modules that are created and have weights, and how those load nothing proves.
function modulesWithoutHub() {
  const proven = new Set(hubLayouts.map(({ module }) => module));
  return listModules().filter((module) => {
    const models = releases['1.0.31'].filter((model) => model.module === module && created(model.name));
    return tagsOf(models).length > 0 && !proven.has(module);
  });
}

function row(title, goldens, belongs) {
  const counts = Object.values(releases).map((models) => count(models.filter(belongs), goldens));
  const models = releases['1.0.31'].filter(belongs);
  const loaded = models.filter(({ name }) => created(name));
  const names = new Set(models.map(({ name }) => name));
  const ofModels = (entries) => entries.filter(({ model }) => names.has(model)).length;
  const channels = [...new Set(counts.flatMap(({ channels }) => channels))].sort((a, b) => a - b);
  const figures = [
    ...counts.flatMap(({ listed, created, golden }) => [listed, created, golden]),
    ...[tagsOf(models).length, tagsOf(loaded).length, ofModels(hubLayouts), ofModels(layouts)],
  ];
  return [title.padEnd(28), ...figures.map((figure) => String(figure).padStart(7)), '  ', channels.join(' ')].join(' ');
}

runMain(async () => {
  const goldens = readGoldens();
  const all = Object.values(releases).flat();
  const modules = [...new Set([...all.map(({ module }) => module), ...listModules()])].sort();
  const heads = Object.keys(releases).map((release) => `timm ${release}`.padStart(24));
  console.log(`${' '.repeat(28)}${heads.join('')}`);
  console.log(
    [
      'module'.padEnd(28),
      ...['listed', 'created', 'golden', 'listed', 'created', 'golden', 'tags', 'loaded', 'hub', 'authors'].map(
        (head) => head.padStart(7),
      ),
      '   inChans of goldens',
    ].join(' '),
  );
  for (const module of modules) console.log(row(module, goldens, (model) => model.module === module));
  console.log(row('all', goldens, () => true));
  const missing = new Set(all.map(({ name }) => created(name)).filter((name) => name && !goldens.has(name)));
  if (process.argv.includes('--check') && missing.size > 0)
    throw new UserError(`created, but without a golden: ${[...missing].join(', ')}`);
  const unproven = modulesWithoutHub();
  if (process.argv.includes('--check') && unproven.length > 0)
    throw new UserError(`with weights, but without a golden of the Hub's layout: ${unproven.join(', ')}`);
});
