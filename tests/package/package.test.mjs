// The packed package works in an empty folder, with nothing else installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { cached } from '../../scripts/cache.mjs';
import { temporaryFolder } from '../node/support.mjs';
import { installPackage, packed } from './support.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();
const installed = installPackage(folder);
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');

function run(program, args) {
  return execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const node = (...args) => run(process.execPath, args);

test('it holds what a user needs, and no more', () => {
  const files = packed.files.map(({ path }) => path);
  for (const variant of ['simd', 'simd-threads', 'relaxed', 'relaxed-threads']) {
    for (const extension of ['mjs', 'wasm']) assert.ok(files.includes(`dist/wimm-${variant}.${extension}`));
  }
  assert.ok(files.includes('dist/index.d.ts') && files.includes('LICENSE') && files.includes('README.md'));
  assert.deepEqual(
    files.filter((path) => !/^(dist\/|LICENSE|NOTICE|README\.md|CHANGELOG\.md|package\.json)/.test(path)),
    [],
  );
});

test('it is imported, and does nothing until it is used', () => {
  const output = node(
    '--input-type=module',
    '-e',
    "const wimm = await import('wimm'); console.log(Object.keys(wimm).sort().join())",
  );
  const names =
    'WimmError,adaptInputConv,capabilities,configure,createModel,getPretrainedCfg,isModel,isModelPretrained,listModels,listModules,listPretrainedTags,loadStateDict';
  assert.equal(output.trim(), names);
});

test('a model runs', () => {
  writeFileSync(
    join(folder, 'run.js'),
    `import { createModel } from 'wimm';
    const model = await createModel('resnet18', { inChans: 25 });
    const { shape } = await model.forward({ data: new Float32Array(25 * 224 * 224), shape: [1, 25, 224, 224] });
    console.log(shape.join());`,
  );
  assert.equal(node('run.js').trim(), '1,1000');
});

// The oldest that package.json allows, and the newest of today: pinned here, from npm's packages of Node.js.
const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const oldest = /^>=(\d+\.\d+)$/.exec(engines.node)[1];
for (const [version, variant] of [
  [`${oldest}.0`, 'simd-threads'],
  ['26.10.0', 'relaxed-threads'],
]) {
  test(`a model runs in Node.js ${version}`, async () => {
    const name = `node-${process.platform}-${process.arch}`;
    const npm = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${version}`];
    const inputs = [name, version];
    const cache = await cached('node', inputs, (to) => void execFileSync('npm', [...npm, '--prefix', to]));
    const program = `import { createModel, listModels } from 'wimm';
      const model = await createModel(listModels('resnet10t')[0], { inChans: 25, worker: true, threads: 2 });
      const { shape } = await model.forward({ data: new Float32Array(25 * 64 * 64), shape: [1, 25, 64, 64] });
      console.log(process.version, model.backend.variant, shape.join());`;
    const output = run(join(cache, 'node_modules', name, 'bin/node'), ['--input-type=module', '-e', program]);
    assert.equal(output.trim(), `v${version} ${variant} 1,1000`);
  });
}

test('without sharp, an image file says what to install', () => {
  writeFileSync(
    join(folder, 'image.js'),
    `import { createModel } from 'wimm';
    const model = await createModel('resnet18', {});
    await model.classify('image.png').catch(({ code, message }) => console.log(code, message));`,
  );
  assert.match(node('image.js'), /^ERR_IMAGE_UNSUPPORTED .*npm install sharp/);
});

test('its command line runs', () => {
  assert.match(node(join(installed, 'dist/cli.js'), 'info', 'resnet34'), /"firstConv": "conv1"/);
});

test('its types pass under node16 and bundler resolution, with and without the types of a platform', () => {
  cpSync(join(root, 'tests/package/consumer.ts'), join(folder, 'consumer.ts'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  for (const [module, moduleResolution] of [
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ]) {
    for (const lib of ['es2022', 'es2022,dom']) {
      const options = ['--strict', '--noEmit', '--target', 'es2022', '--skipLibCheck', 'false', '--lib', lib];
      try {
        node(tsc, ...options, '--module', module, '--moduleResolution', moduleResolution, 'consumer.ts');
      } catch (error) {
        assert.fail(`${moduleResolution}, ${lib}:\n${error.stdout}`);
      }
    }
  }
});

test('a bundler for browsers finds all that it imports', async () => {
  const { errors, outputFiles } = await build({
    stdin: { contents: "import { createModel } from 'wimm'; createModel('resnet18');", resolveDir: folder },
    bundle: true,
    splitting: true,
    platform: 'browser',
    format: 'esm',
    outdir: join(folder, 'bundle'),
    write: false,
    logLevel: 'silent',
  });
  assert.deepEqual(errors, []);
  assert.ok(outputFiles.length > 1);
});
