// One pass over the models of the package, in Node.js and on one thread: the time of a forward pass, and that the memory of each is
// free again once it is disposed of; beside it, by the native build, the differences of their goldens from timm. Of all models,
// however large: parameters and multiply-adds.
//   npm run bench:models -- [FILTER…] [--up-to 100] [--again]            --up-to: millions of parameters
// Figures go to bench/results/models.json, where those of other models stay; the page of them all is docs/models.md.
// Needs `npm run build:native`. Exits with 1 where a model fails, or keeps memory.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { createModel, listModels } from '../dist/index.js';
import { page } from './models_page.mjs';

const { values: options, positionals: filters } = parseArgs({
  options: { 'up-to': { type: 'string', default: '100' }, again: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const root = join(import.meta.dirname, '..');
const file = join(import.meta.dirname, 'results/models.json');
const parityProgram = join(root, 'build/native/tests/wimm_parity');

/** By architecture, its parameters and multiply-adds. */
function counts() {
  const lines = execFileSync(join(root, 'build/native/bench/wimm_count'), { encoding: 'utf8' }).trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [name, parameters, multiplyAdds] = line.split(' ');
      return [name, { parameters: Number(parameters), multiplyAdds: Number(multiplyAdds) }];
    }),
  );
}

/** Tells the largest difference of each model's goldens from timm, of the largest magnitude in timm's tensors; on another core. */
async function measureParity(names, tell) {
  if (names.length === 0) return;
  const program = spawn(parityProgram, names, { stdio: ['ignore', 'pipe', 'inherit'] });
  const worst = new Map();
  for await (const line of createInterface({ input: program.stdout })) {
    const [, name, difference] = /^ok +(\w+).*: (\S+), \S+ s$/.exec(line) ?? [];
    if (!name) continue;
    worst.set(name, Math.max(worst.get(name) ?? 0, Number(difference)));
    tell(name, worst.get(name));
  }
}

const sentinel = await createModel('lcnet_035', { threads: 1 }); // tells of the engine's memory while no other model is alive

async function measureModel(name, model) {
  const shape = [1, ...model.pretrainedCfg.inputSize];
  const input = { data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5), shape };
  await model.forward(input);
  const times = [];
  for (const end = performance.now() + 600; times.length < 2 || (times.length < 9 && performance.now() < end);) {
    const start = performance.now();
    await model.forward(input);
    times.push(performance.now() - start);
  }
  const { weights, arena } = await model.memory();
  return {
    milliseconds: Number(times.toSorted((a, b) => a - b)[times.length >> 1].toPrecision(3)),
    memory: weights + arena,
  };
}

async function measure(name) {
  const { used } = await sentinel.memory();
  const model = await createModel(name, { threads: 1 });
  const figures = await measureModel(name, model).finally(() => model.dispose());
  const kept = (await sentinel.memory()).used - used;
  if (kept > 0) throw new Error(`${name} keeps ${kept} bytes`);
  return figures;
}

/** A model a line, so that a change of one is a change of one line. */
function save(results) {
  const lines = Object.keys(results)
    .sort()
    .map((name) => `${JSON.stringify(name)}: ${JSON.stringify(results[name])}`);
  writeFileSync(file, `{\n${lines.join(',\n')}\n}\n`);
}

const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
const sizes = counts();
for (const [name, size] of sizes) results[name] = { ...results[name], ...size };
const names = listModels(filters.length ? filters : undefined)
  .filter((name) => sizes.get(name).parameters <= options['up-to'] * 1e6)
  .sort((a, b) => sizes.get(a).parameters - sizes.get(b).parameters);
const lacking = (figure) => names.filter((name) => options.again || results[name][figure] === undefined);
const tell = (name, figures) => {
  results[name] = { ...results[name], ...figures };
  save(results);
};

const parity = measureParity(lacking('parity'), (name, parity) => tell(name, { parity }));
const models = lacking('milliseconds');
let failures = 0;
for (const [index, name] of models.entries()) {
  const title = `${index + 1}/${models.length} ${name}`;
  try {
    tell(name, await measure(name));
    console.log(`${title}: ${results[name].milliseconds} ms`);
  } catch (error) {
    failures++;
    console.log(`${title}: ${error.stack}`);
  }
}
console.log(`${models.length} models, ${failures} failed`);
await parity;
save(results);
writeFileSync(join(root, 'docs/models.md'), page(results));
process.exitCode = failures ? 1 : 0;
