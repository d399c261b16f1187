// Fills dist/: the TypeScript bundled and minified, its declarations, the WebAssembly builds of build/wasm-*, licence notices
// and the bill of materials.
//   node scripts/build_js.mjs [VARIANT…]        default: every variant
import { execFileSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { build, transform } from 'esbuild';

import { bundledNotices } from './notices.mjs';
import { sbom } from './sbom.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = 'es2022';
const variants =
  process.argv.length > 2 ? process.argv.slice(2) : ['simd', 'simd-threads', 'relaxed', 'relaxed-threads'];

/**
 * Bundles the package's modules; the WebAssembly modules stay files of their own beside them. Gives the names of the packages
 * that are in the bundle. The worker is a file by itself, whose start does not wait for chunks.
 */
async function bundle() {
  const entries = [{ index: 'js/index.ts', cli: 'js/cli.ts' }, { worker: 'js/engine/worker.ts' }];
  const inputs = await Promise.all(entries.map(bundleEntries));
  const names = inputs.flat().map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  return [...new Set(names)].filter(Boolean).sort();
}

/** Gives the paths of what went into the bundle. */
async function bundleEntries(entryPoints) {
  const { metafile } = await build({
    metafile: true,
    absWorkingDir: root,
    entryPoints,
    outdir: 'dist',
    bundle: true,
    splitting: Object.keys(entryPoints).length > 1,
    minify: true,
    format: 'esm',
    target,
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['./wimm-*.mjs', 'node:*'],
    loader: { '.json': 'text' },
    logLevel: 'warning',
  });
  return Object.keys(metafile.inputs);
}

function declare() {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`], { cwd: root, stdio: 'inherit' });
}

/** Mends what Emscripten writes: bundlers for browsers resolve every import, and read a worker's options where they stand. */
function portable(code, variant) {
  return (
    code
      .replaceAll(/await import\((['"]\w+['"])\)/g, 'process.getBuiltinModule($1)')
      .replace(/var workerOptions=(\{[^}]*\});(worker=new Worker\([^;]*),workerOptions\)/, '$2,$1)')
      // What goes wrong with a worker is told to the one who waits for it.
      .replace(
        /worker=new Worker\([^;]*\);/,
        'try{$&worker.onerror=Module.onThreadError}catch(cause){Module.onThreadError?.(cause);throw cause}',
      )
      .replace(/worker\.onerror=e=>\{.*?throw e\}/, 'worker.onerror=Module.onThreadError')
      // webpack makes one file of all workers of a name. A worker of Node would take its parent's arguments, even those
      // that are for the main script alone.
      .replace('name:"em-pthread"', `name:"em-pthread-${variant}",execArgv:[]`)
  );
}

async function copyVariant(variant) {
  const from = `${root}build/wasm-${variant}/wimm-${variant}`;
  const script = portable(await readFile(`${from}.mjs`, 'utf8'), variant);
  const { code } = await transform(script, { minify: true, target });
  await writeFile(`${root}dist/wimm-${variant}.mjs`, code);
  await writeFile(`${root}dist/wimm-${variant}.wasm`, await readFile(`${from}.wasm`));
}

/** Declarations of what no public module mentions are of no use to users. */
async function removeUnreachableDeclarations() {
  const declarations = (await readdir(`${root}dist`, { recursive: true })).filter((file) => file.endsWith('.d.ts'));
  const reached = new Set();
  const visit = async (file) => {
    if (reached.has(file)) return;
    reached.add(file);
    const text = await readFile(`${root}dist/${file}`, 'utf8');
    for (const [, path] of text.matchAll(/(?:from|import)\s*\(?['"](\.[^'"]+)\.js['"]/g)) {
      await visit(new URL(`${path}.d.ts`, `file:///${file}`).pathname.slice(1));
    }
  };
  await visit('index.d.ts');
  await Promise.all(declarations.filter((file) => !reached.has(file)).map((file) => rm(`${root}dist/${file}`)));
}

/** The notices of the WebAssembly builds, and those of what is bundled. */
async function notices(bundled) {
  const folders = Object.fromEntries(bundled.map((name) => [name, `${root}node_modules/${name}`]));
  const native = await readFile(`${root}build/THIRD-PARTY-NOTICES.txt`, 'utf8');
  const head = 'Where the Apache License, Version 2.0, is named, its text is at the end of this file.';
  return [head, native, bundledNotices(folders)].join('\n\n');
}

await rm(`${root}dist`, { recursive: true, force: true });
const bundled = await bundle();
declare();
await removeUnreachableDeclarations();
await Promise.all(variants.map(copyVariant));
await writeFile(`${root}dist/THIRD-PARTY-NOTICES.txt`, await notices(bundled));
await writeFile(`${root}dist/sbom.cdx.json`, `${JSON.stringify(sbom(bundled), null, 2)}\n`);
