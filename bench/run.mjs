// Measures wimm beside its peers: the same models, weights and images, in turn in one process or page.
//   npm run bench -- [--models resnet34,resnet50] [--rounds 30] [--engines node20,node,chromium] [--threads 1,2]
//                    [--peers wimm,onnxruntime-web] [--only speed,int8,memory,cold-start,layers]
// Results go to bench/results/. Models that bench/.cache lacks are exported from timm by $PYTHON, which needs what
// bench/export/requirements.txt lists; by default, by an environment that is made in bench/.cache.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { picture } from './picture.mjs';
import { toMarkdown } from './report.mjs';
import { setUp, versions } from './setup.mjs';

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
    only: { type: 'string', default: 'speed,int8,memory,cold-start,layers' },
  },
});

const list = (text) => text.split(',').filter(Boolean);
const plan = {
  models: list(options.models),
  rounds: Number(options.rounds),
  engines: list(options.engines),
  threads: list(options.threads).map(Number),
  peers: list(options.peers),
};

const results = fileURLToPath(new URL('results/', import.meta.url));
mkdirSync(results, { recursive: true });
setUp(plan.models);
const { parts } = await import('./measure.mjs'); // which needs what was set up
for (const part of list(options.only)) {
  const runs = await parts[part](plan);
  const report = { part, date: new Date().toISOString().slice(0, 10), cpu: cpus()[0].model, versions, ...plan, runs };
  const markdown = toMarkdown(report);
  console.log(markdown);
  writeFileSync(join(results, `${part}.json`), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(results, `${part}.md`), markdown);
  if (part === 'speed') writeFileSync(join(results, 'speed.svg'), picture(report));
}
