// Watches threads for data races under ThreadSanitizer: node scripts/threads.mjs
// Runs the kernels on several threads, models in several threads at once, and small architectures on two threads each;
// XNNPACK and pthreadpool are watched too. Needs clang with its sanitizers (on Debian: clang, libclang-rt-dev).
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { UserError, root, run, runMain } from './process.mjs';

const folder = join(root, 'build/native-tsan');
const runs = [
  ['tests/wimm_tests', '--source-file=*/tests/kernels/*,*/threads_test.cpp'],
  ['tests/wimm_parity', '--threads', '2', 'test_*', 'edgenext_xx_small', 'mobilevit_xxs'],
];

// The sanitizer's map of memory has no room for addresses of more random bits than these (clang before 18).
const atFixedAddresses = () => Number(readFileSync('/proc/sys/vm/mmap_rnd_bits', 'utf8')) > 28;

runMain(async () => {
  mkdirSync(folder, { recursive: true });
  await run(process.execPath, ['scripts/build.mjs', 'native-tsan'], { log: join(folder, 'threads.log'), cwd: root });
  const prefix = atFixedAddresses() ? ['setarch', '-R'] : [];
  for (const [program, ...args] of runs) {
    const [command, ...rest] = [...prefix, join(folder, program), ...args];
    const { status, signal, error } = spawnSync(command, rest, { stdio: 'inherit' });
    if (error) throw error;
    if (status !== 0) throw new UserError(`${program} ended with ${signal ?? `status ${status}`}`);
  }
});
