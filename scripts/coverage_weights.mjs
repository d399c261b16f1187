// Counts the branches of src/weights that its C++ tests take: node scripts/coverage_weights.mjs
// As clang counts them: two for each condition, and for each operand of && and ||, in the source; templates count once.
// Needs clang and LLVM's tools. The lines that lack a branch are printed; below 95 % the command fails.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { outputOf, root, run, runMain } from './process.mjs';

const wanted = 95;
const folder = join(root, 'build/coverage');

runMain(async () => {
  mkdirSync(folder, { recursive: true });
  const log = join(folder, 'coverage.log');
  await run(process.execPath, ['scripts/build.mjs', 'coverage'], { log, cwd: root });
  const tests = join(folder, 'tests/wimm_tests');
  const profiles = join(folder, 'profiles');
  rmSync(profiles, { recursive: true, force: true });
  mkdirSync(profiles);
  await run(tests, [], { log, env: { LLVM_PROFILE_FILE: join(profiles, '%p.profraw') } });
  const profile = join(folder, 'tests.profdata');
  const raw = readdirSync(profiles).map((name) => join(profiles, name));
  outputOf('llvm-profdata', ['merge', '-sparse', ...raw, '-o', profile]);
  const sources = readdirSync(join(root, 'src/weights'))
    .filter((name) => /\.(cpp|h)$/.test(name))
    .map((name) => join(root, 'src/weights', name));
  const report = outputOf('llvm-cov', ['export', tests, `-instr-profile=${profile}`, ...sources]);
  const { files, totals } = JSON.parse(report).data[0];
  for (const { filename, branches, summary } of files) {
    const { count, covered, percent } = summary.branches;
    if (count === 0) continue;
    console.log(`${percent.toFixed(1).padStart(5)} %  ${covered}/${count}  ${basename(filename)}`);
    for (const [line, column, , , taken, untaken] of branches) {
      const missing = [taken === 0 && 'true', untaken === 0 && 'false'].filter(Boolean);
      if (missing.length) console.log(`         ${line}:${column} never ${missing.join(' nor ')}`);
    }
  }
  const { count, covered, percent } = totals.branches;
  console.log(`${percent.toFixed(1)} % of the branches of src/weights: ${covered} of ${count}`);
  if (percent < wanted) process.exitCode = 1;
});
