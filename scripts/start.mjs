// `npm start`: sets up everything, then repacks real weights and classifies photographs, in colour and in grey.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { UserError, run } from './process.mjs';
import { samples } from './samples.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const model = 'tf_efficientnet_lite0';
const megabytes = (path) => `${(statSync(path).size / 1e6).toFixed(1)} MB`;

function npm(...args) {
  try {
    execFileSync('npm', args, { cwd: root, stdio: 'inherit' });
  } catch (cause) {
    throw new UserError(`npm ${args.join(' ')} failed, as said above`, { cause });
  }
}

async function step(what, action) {
  console.log(`• ${what}`);
  const start = Date.now();
  const result = await action();
  console.log(`  done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

async function classify(wimm, pack, inChans, photographs) {
  const net = await wimm.createModel(model, { weights: pack, inChans });
  try {
    for (const [name, path] of Object.entries(photographs)) {
      const channels = inChans === 1 ? 'one grey channel' : 'three channels';
      console.log(`\n${name}, ${channels}, ${net.backend.simd}:`);
      for (const { label, probability } of await net.classify(path))
        console.log(`  ${probability.toFixed(3)}  ${label}`);
    }
  } finally {
    net.dispose();
  }
}

async function main() {
  if (!existsSync(join(root, 'node_modules')))
    await step('Installing development packages', () => npm('ci', '--no-audit', '--no-fund'));
  await step('Building the package: WebAssembly and JavaScript', () => npm('run', '--silent', 'build'));
  await step('Building the native tool, wimm-pack', () => npm('run', '--silent', 'build:native'));
  const { weights, photographs } = await step('Fetching real weights and photographs', samples);

  const pack = join(root, 'build', `${model}.wimm`);
  await step(`Repacking the weights of ${model}`, () =>
    run(join(root, 'build/native/weights-tools/wimm-pack'), ['convert', '--model', model, weights, '-o', pack], {
      log: join(root, 'build/start.log'),
    }),
  );
  console.log(`  ${weights.split('/').at(-1)} (${megabytes(weights)}) → ${model}.wimm (${megabytes(pack)})`);

  const wimm = await import('wimm');
  for (const inChans of [3, 1]) await classify(wimm, pack, inChans, photographs);
  console.log(`
Next: npm test                               every test
      node dist/cli.js list 'resnet*'        what can be created
      node dist/cli.js classify PHOTO --model ${model} --weights ${pack.slice(root.length + 1)}
      README.md                              the API`);
}

main().catch((error) => {
  console.error(error instanceof UserError ? error.message : error);
  process.exitCode = 1;
});
