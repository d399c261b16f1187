// Measures wimm beside its peers: the same models and weights, one thread each, in turn in one process.
//   npm run bench -- [--models resnet34,resnet50] [--rounds 30]
// Results go to bench/results/. Models that bench/.cache lacks are exported from timm by $PYTHON (default: python3), which
// needs what bench/requirements.txt lists.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { relaxedSimd } from 'wasm-feature-detect';

import { toMarkdown } from './report.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));
const modelsFolder = join(folder, '.cache/models');
const warmUpRounds = 8; // V8 begins in its baseline tier
const tolerance = 1e-3; // of the largest logit: the runtimes sum in different orders

const { values: options } = parseArgs({
  options: {
    models: {
      type: 'string',
      default: 'resnet34,resnet50,tf_efficientnet_lite0,efficientnet_b0,mobilenetv3_large_100',
    },
    rounds: { type: 'string', default: '30' },
  },
});

const run = (command, args) => execFileSync(command, args, { cwd: folder, stdio: 'inherit' });

function setUp(models) {
  if (!existsSync(join(folder, '../dist/index.js'))) run('npm', ['run', 'build', '--prefix', '..']);
  if (!existsSync(join(folder, 'node_modules'))) run('npm', ['install', '--no-package-lock']);
  const missing = models.filter((model) => !existsSync(join(modelsFolder, `${model}.json`)));
  if (missing.length) run(process.env.PYTHON ?? 'python3', ['export_onnx.py', modelsFolder, ...missing]);
}

// Numbers in [-1.7, 1.7), the same in every run.
function image(size) {
  let state = 1;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3.4 * (state / 2 ** 32) - 1.7;
  });
}

function checkAgreement(model, outputs) {
  const [expected, ...others] = outputs;
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const output of others) {
    const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - output[i])), 0) / largest;
    if (!(difference <= tolerance)) throw new Error(`${model}: outputs differ by ${difference} of the largest logit`);
  }
}

// Wall-clock and processor milliseconds; the latter leaves out the time that other processes took.
async function time(action) {
  const start = performance.now();
  const startUsage = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(startUsage);
  return { wall: performance.now() - start, processor: (user + system) / 1e3 };
}

function summarise(times, multiplyAdds) {
  const quantile = (clock, q) => times.map((x) => x[clock]).sort((a, b) => a - b)[Math.round(q * (times.length - 1))];
  const processor = quantile('processor', 0.5);
  return {
    best: quantile('wall', 0),
    p10: quantile('wall', 0.1),
    median: quantile('wall', 0.5),
    processor,
    gflops: (2e-6 * multiplyAdds) / processor,
  };
}

async function measure(peers, model, rounds) {
  const { shape, multiplyAdds } = JSON.parse(readFileSync(join(modelsFolder, `${model}.json`), 'utf8'));
  const input = image(shape.reduce((product, size) => product * size));
  const runners = [];
  for (const peer of peers) runners.push(await peer.load(modelsFolder, model, shape));

  const outputs = [];
  for (const runner of runners) outputs.push(Float32Array.from(await runner.forward(input)));
  checkAgreement(model, outputs);

  const times = peers.map(() => []);
  for (let round = -warmUpRounds; round < rounds; ++round) {
    for (const [i, runner] of runners.entries()) {
      const elapsed = await time(() => runner.forward(input));
      if (round >= 0) times[i].push(elapsed);
    }
  }
  for (const runner of runners) await runner.dispose();
  return { model, multiplyAdds, peers: times.map((peerTimes) => summarise(peerTimes, multiplyAdds)) };
}

async function main() {
  const models = options.models.split(',');
  setUp(models);
  const { peers } = await import('./peers.mjs');
  const results = [];
  for (const model of models) results.push(await measure(peers, model, Number(options.rounds)));

  const report = {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0].model,
    engine: `Node.js ${process.versions.node} (V8 ${process.versions.v8}) with relaxed SIMD`,
    threads: 1,
    rounds: Number(options.rounds),
    peers: peers.map(({ name, version }) => ({ name, version })),
    results,
  };
  const markdown = toMarkdown(report);
  console.log(markdown);
  mkdirSync(join(folder, 'results'), { recursive: true });
  writeFileSync(join(folder, 'results/node.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, 'results/node.md'), markdown);
}

// Before Node.js 22, relaxed SIMD is behind a flag.
if (await relaxedSimd()) await main();
else {
  const flags = ['--experimental-wasm-relaxed-simd', ...process.argv.slice(1)];
  process.exitCode = spawnSync(process.execPath, flags, { stdio: 'inherit' }).status ?? 1;
}
