// The C++ tests, natively and under the address and undefined-behaviour sanitizers, each case reported by its name.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

const unescape = (text) =>
  text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => ({ lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' })[name]);

// The cases of a JUnit report, each with the text of its failures.
function* casesOf(report) {
  for (const [, name, body = ''] of report.matchAll(
    /<testcase [^>]*?\bname="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs,
  )) {
    const failures = [...body.matchAll(/<(?:failure|error)[^>]*>(.*?)<\/(?:failure|error)>/gs)];
    yield { name: unescape(name), failures: failures.map(([, text]) => unescape(text).trim()) };
  }
}

// What allocations hold at first, so that nothing read before it is written is zero by chance.
const env = { ...process.env, MALLOC_PERTURB_: '85', ASAN_OPTIONS: 'max_malloc_fill_size=1073741824' };

for (const preset of ['native', 'native-asan']) {
  test(`C++ tests, ${preset}, in memory that is not zero [R25, R27]`, async (t) => {
    const program = join(root, 'build', preset, 'tests/wimm_tests');
    const { stdout, stderr, status, error } = spawnSync(program, ['--reporters=junit'], {
      encoding: 'utf8',
      env,
      maxBuffer: 1 << 28,
    });
    if (error) throw error;
    let failed = 0;
    for (const { name, failures } of casesOf(stdout)) {
      if (failures.length) failed++;
      await t.test(name, () => {
        if (failures.length) throw new Error(failures.join('\n'));
      });
    }
    // A crash, or a sanitizer's report, ends the program without a failed case.
    if (status !== 0 && failed === 0) throw new Error(`wimm_tests ended with status ${status}\n${stderr}`);
  });
}
