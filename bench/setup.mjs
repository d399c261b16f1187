// What a run of the benchmark needs: the peers, wimm's package, exported models, and the engines.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
export const modelsFolder = join(folder, '.cache/models');

const packageJson = (path) => JSON.parse(readFileSync(join(folder, path), 'utf8'));

/** Versions of the runtimes, by package. */
export const versions = { wimm: packageJson('../package.json').version, ...packageJson('package.json').dependencies };

const run = (command, args) => execFileSync(command, args, { cwd: folder, stdio: 'inherit' });

// LiteRT.js's scripts are CommonJS in a package of ES modules: for its threads in Node.js, they are put in a folder of their own.
function prepareLitert() {
  const copy = join(folder, '.cache/litert');
  cpSync(join(folder, 'node_modules/@litertjs/core/wasm'), copy, { recursive: true });
  writeFileSync(join(copy, 'package.json'), '{ "type": "commonjs" }\n');
}

/** Python with what exporting needs: $PYTHON, or an environment of its own, made anew where the requirements change. */
function exporter() {
  if (process.env.PYTHON) return process.env.PYTHON;
  const requirements = join(folder, 'export/requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const environment = join(folder, `.cache/python-${digest}`);
  const python = join(environment, 'bin/python');
  if (existsSync(join(environment, 'done'))) return python;
  run('python3', ['-m', 'venv', '--clear', environment]);
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '-r', requirements]);
  writeFileSync(join(environment, 'done'), '');
  return python;
}

export function setUp(models) {
  if (!existsSync(join(folder, '../dist/index.js'))) run('npm', ['run', 'build', '--prefix', '..']);
  if (!existsSync(join(folder, 'node_modules'))) run('npm', ['ci']);
  prepareLitert();
  const missing = models.filter((model) => !existsSync(join(modelsFolder, `${model}.json`)));
  if (missing.length) run(exporter(), ['export/export.py', modelsFolder, ...missing]);
}

const nodes = { node20: 'node-20', node: 'node-newest' };

/** 'node20', 'node' for the newest, or 'chromium'. */
export async function openEngine(name) {
  if (name === 'chromium') return (await import('./engines/chromium.mjs')).chromiumEngine();
  const { nodeEngine } = await import('./engines/node.mjs');
  return nodeEngine(join(folder, 'node_modules', nodes[name], 'bin/node'));
}
