// The packed package works in an empty folder, with nothing else installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'wimm-package-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
  }),
);
const installed = join(folder, 'node_modules/wimm');
mkdirSync(installed, { recursive: true });
execFileSync('tar', ['-xzf', join(folder, packed.filename), '--strip-components=1', '-C', installed]);
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');

function node(...args) {
  return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

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
