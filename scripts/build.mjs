// Sets up and builds variants with CMake: node scripts/build.mjs VARIANT…      (the presets of CMakePresets.json)
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { notices } from './notices.mjs';
import { findProgram, root, run, runMain } from './process.mjs';
import { setUp } from './setup.mjs';

// As many variants at a time as there are cores: the end of each build, its link, runs on one.
const lanes = Math.max(1, Math.min(availableParallelism(), process.argv.length - 2));
const jobs = Math.max(1, Math.floor(availableParallelism() / lanes));

async function build(variant) {
  const folder = join(root, 'build', variant);
  const log = join(root, 'build', `${variant}.log`);
  rmSync(log, { force: true });
  mkdirSync(folder, { recursive: true });
  const generator = findProgram('ninja') && !existsSync(join(folder, 'CMakeCache.txt')) ? ['-G', 'Ninja'] : [];
  console.log(`building ${variant}`);
  const options = { log, cwd: root, label: lanes > 1 ? variant : undefined };
  await run('cmake', ['--preset', variant, ...generator], options);
  await run('cmake', ['--build', '--preset', variant, '--parallel', String(jobs)], options);
}

runMain(async () => {
  const variants = process.argv.slice(2);
  const folders = await setUp(variants);
  if (folders.emscripten) writeFileSync(join(root, 'build/THIRD-PARTY-NOTICES.txt'), notices(folders));
  const waiting = [...variants];
  const lane = async () => {
    for (let variant = waiting.shift(); variant; variant = waiting.shift()) await build(variant);
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    waiting.length = 0; // where one fails, no other is begun
  }
});
