// Measures wimm beside its peers: the same models, weights and images, in turn in one process or page.
//   npm run bench -- [--models resnet34,resnet50] [--rounds 30] [--engines node20,node,chromium] [--threads 1,2]
//                    [--peers wimm,onnxruntime-web]
// Results go to bench/results/. Models that bench/.cache lacks are exported from timm by $PYTHON (default: python3), which
// needs what bench/export/requirements.txt lists.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { speedTables } from './report.mjs';
import { modelsFolder, openEngine, setUp, versions } from './setup.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));

const { values: options } = parseArgs({
  options: {
    models: {
      type: 'string',
      default:
        'resnet34,resnet50,densenet121,inception_v3,mobilenetv3_large_100,efficientnet_b0,tf_efficientnet_lite0,' +
        'cspresnet50,cspdarknet53,vit_tiny_patch16_224',
    },
    rounds: { type: 'string', default: '30' },
    engines: { type: 'string', default: 'node20,node,chromium' },
    threads: { type: 'string', default: '1,2' },
    peers: { type: 'string', default: 'wimm,onnxruntime-web,@litertjs/core,@tensorflow/tfjs-backend-wasm' },
  },
});
const list = (text) => text.split(',').filter(Boolean);

function summarise({ times, ...peer }) {
  if (!times) return peer;
  const quantile = (clock, q) => times.map((x) => x[clock]).sort((a, b) => a - b)[Math.round(q * (times.length - 1))];
  return {
    ...peer,
    best: quantile('wall', 0),
    p10: quantile('wall', 0.1),
    median: quantile('wall', 0.5),
    p90: quantile('wall', 0.9),
    processor: times[0].processor && quantile('processor', 0.5),
  };
}

async function measureSpeed(models, rounds) {
  const runs = [];
  for (const name of list(options.engines)) {
    const engine = await openEngine(name);
    try {
      for (const threads of list(options.threads).map(Number)) {
        for (const model of models) {
          const { shape, multiplyAdds } = JSON.parse(readFileSync(join(modelsFolder, `${model}.json`), 'utf8'));
          const job = { model, shape, threads, rounds, peers: list(options.peers) };
          const peers = (await engine.run(job)).peers.map(summarise);
          const run = { engine: engine.title, threads, model, multiplyAdds, peers };
          runs.push(run);
          const summary = peers.map(({ name, error, median, p10 }) =>
            error ? `${name}: ${error}` : `${name} ${median.toFixed(1)} (p10 ${p10.toFixed(1)}) ms`,
          );
          console.error(`${engine.title}, ${threads} threads, ${model}: ${summary.join(', ')}`);
        }
      }
    } finally {
      await engine.close();
    }
  }
  return runs;
}

async function main() {
  const models = list(options.models);
  setUp(models);
  const rounds = Number(options.rounds);
  const runs = await measureSpeed(models, rounds);
  const report = { date: new Date().toISOString().slice(0, 10), cpu: cpus()[0].model, rounds, versions, runs };
  const markdown = speedTables(report);
  console.log(markdown);
  mkdirSync(join(folder, 'results'), { recursive: true });
  writeFileSync(join(folder, 'results/speed.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, 'results/speed.md'), markdown);
}

await main();
