// Sets up and builds variants with CMake: node scripts/build.mjs VARIANT…      (the presets of CMakePresets.json)
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { notices } from './notices.mjs';
import { findProgram, root, run, runMain } from './process.mjs';
import { setUp } from './setup.mjs';

runMain(async () => {
  const variants = process.argv.slice(2);
  const folders = await setUp(variants);
  if (folders.emscripten) writeFileSync(join(root, 'build/THIRD-PARTY-NOTICES.txt'), notices(folders));
  for (const variant of variants) {
    const folder = join(root, 'build', variant);
    const log = join(root, 'build', `${variant}.log`);
    rmSync(log, { force: true });
    mkdirSync(folder, { recursive: true });
    const generator = findProgram('ninja') && !existsSync(join(folder, 'CMakeCache.txt')) ? ['-G', 'Ninja'] : [];
    console.log(`building ${variant}`);
    await run('cmake', ['--preset', variant, ...generator], { log, cwd: root });
    await run('cmake', ['--build', '--preset', variant, '--parallel', String(availableParallelism())], {
      log,
      cwd: root,
    });
  }
});
