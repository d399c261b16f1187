// Builds a variant of the commit that is checked out twice, and compares what is published, byte by byte:
//   node scripts/reproduce.mjs [VARIANT]        default: wasm-relaxed
// The two builds are of clean clones in folders of different names, with third-party libraries, time zone and locale of their
// own. What they share are the installed packages, and the tools and sources of the cache: what is pinned.
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { cacheFolder } from './cache.mjs';
import { outputOf, root, run, runMain, UserError } from './process.mjs';
import { setUp } from './setup.mjs';

const places = {
  first: { TZ: 'UTC', LC_ALL: 'C.UTF-8' },
  'another/folder': { TZ: 'Pacific/Auckland', LC_ALL: 'C' },
};

/** A cache that has of ours all but the libraries, which it is to build. */
function cacheWithoutLibraries(folder) {
  mkdirSync(folder, { recursive: true });
  for (const entry of readdirSync(cacheFolder, { withFileTypes: true })) {
    if (entry.isDirectory() && !entry.name.startsWith('libraries-'))
      symlinkSync(join(cacheFolder, entry.name), join(folder, entry.name));
  }
  return folder;
}

/** Clones, builds, and gives the digests of the published files. */
async function build(folder, environment, commit, variant) {
  const checkout = join(folder, 'wimm');
  const log = join(folder, 'log.txt');
  const env = { ...environment, WIMM_CACHE: cacheWithoutLibraries(join(folder, 'cache')) };
  const inClone = (program, ...args) => run(program, args, { log, cwd: checkout, env });
  console.log(`building ${variant} in ${checkout}`);
  await run('git', ['clone', '--quiet', '--no-hardlinks', root, checkout], { log });
  await inClone('git', 'checkout', '--quiet', '--detach', commit);
  cpSync(join(root, 'node_modules'), join(checkout, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  await inClone('node', 'scripts/build.mjs', variant);
  await inClone('node', 'scripts/build_js.mjs', variant.replace('wasm-', ''));
  const dist = join(checkout, 'dist');
  const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const digests = files.map(({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path.slice(dist.length + 1), createHash('sha256').update(readFileSync(path)).digest('hex')];
  });
  return new Map(digests.sort());
}

runMain(async () => {
  const [variant = 'wasm-relaxed'] = process.argv.slice(2);
  const folder = join(root, 'build/reproduce');
  rmSync(folder, { recursive: true, force: true });
  await setUp([variant]); // so that both clones find tools and sources in the cache
  const commit = outputOf('git', ['-C', root, 'rev-parse', 'HEAD']).trim();
  const builds = [];
  for (const [place, env] of Object.entries(places)) {
    mkdirSync(join(folder, place), { recursive: true });
    builds.push(await build(join(folder, place), env, commit, variant));
  }
  const [first, second] = builds;
  for (const [path, digest] of first) console.log(`${digest}  ${path}`);
  const names = [...new Set([...first.keys(), ...second.keys()])];
  const differing = names.filter((path) => first.get(path) !== second.get(path));
  if (differing.length > 0) throw new UserError(`the builds differ in ${differing.join(', ')}; they are in ${folder}`);
  console.log(`both builds have the same ${first.size} files`);
  rmSync(folder, { recursive: true });
});
