// Builds and runs the fuzzers of tests/fuzz, and says what they did:
//   node scripts/fuzz.mjs [--runs N] [--seconds N] [--timeout N] [--no-build] [TARGET…]
// By default 10 seconds each, every target; an input that takes --timeout seconds, or else 5, is a finding.
// Needs clang with libFuzzer. What is new lies in build/fuzz/corpus, findings in build/fuzz/findings.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { UserError, root, run, runMain } from './process.mjs';

const tests = join(root, 'tests/fuzz');
const dictionaries = {
  safetensors: 'safetensors',
  repack: 'safetensors',
  pickle: 'pickle',
  legacy: 'pickle',
  zip: 'pickle',
};

/** The presets that build the targets: what reads files alone takes a tenth of the time. */
const presets = {
  fuzz: ['safetensors', 'zip', 'pickle', 'legacy', 'pack', 'repack'],
  'fuzz-models': ['model', 'preprocess'],
};
const targets = Object.values(presets).flat();
const work = join(root, 'build/fuzz');

async function build(asked) {
  mkdirSync(work, { recursive: true });
  const options = { log: join(work, 'build.log'), cwd: root };
  for (const [preset, built] of Object.entries(presets))
    if (asked.some((target) => built.includes(target)))
      await run(process.execPath, ['scripts/build.mjs', preset], options);
  await run('python3', ['-B', 'tests/fuzz/seeds.py', join(work, 'seeds')], options);
}

/** Runs one target; gives what it did, and the path of a finding, if there is one. */
async function fuzz(target, { runs, seconds, timeout = 5 }) {
  const preset = Object.keys(presets).find((name) => presets[name].includes(target));
  const program = join(root, 'build', preset, `tests/fuzz_${target}`);
  const folder = (name) => join(work, name, target);
  for (const name of ['corpus', 'findings', 'seeds']) mkdirSync(folder(name), { recursive: true });
  const args = [
    '-max_len=1024', `-timeout=${timeout}`, '-rss_limit_mb=1024', '-malloc_limit_mb=256', '-print_final_stats=1', '-verbosity=1',
    `-artifact_prefix=${folder('findings')}/`,
    ...(runs ? [`-runs=${runs}`] : []),
    ...(seconds ? [`-max_total_time=${seconds}`] : []),
    ...(dictionaries[target] ? [`-dict=${join(tests, dictionaries[target])}.dict`] : []),
    folder('corpus'), join(tests, 'corpus', target), folder('seeds'),
  ]; // prettier-ignore
  // The stacks of allocations are for people: `fuzz_<target> <finding>` prints them.
  const env = { ASAN_OPTIONS: 'malloc_context_size=0:quarantine_size_mb=1' };
  const before = new Set(readdirSync(folder('findings')));
  const start = performance.now();
  const log = await new Promise((resolve, reject) => {
    const fuzzer = spawn(program, args, { env: { ...process.env, ...env } });
    let text = '';
    fuzzer.stderr.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    fuzzer.on('error', reject).on('close', (status) => resolve(`${text}\nstatus ${status}\n`));
  });
  writeFileSync(join(work, `${target}.log`), log);
  const [, executions, edges, features] = [...log.matchAll(/^#(\d+)\t.* cov: (\d+) ft: (\d+)/gm)].at(-1) ?? [];
  return {
    target,
    executions: Number(/^stat::number_of_executed_units: (\d+)/m.exec(log)?.[1] ?? executions ?? 0),
    seconds: Math.round((performance.now() - start) / 1000),
    edges: Number(edges ?? 0),
    features: Number(features ?? 0),
    corpus: readdirSync(folder('corpus')).length,
    findings: readdirSync(folder('findings')).filter((name) => !before.has(name)),
    ended: /^status 0$/m.test(log),
  };
}

runMain(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string' },
      seconds: { type: 'string' },
      timeout: { type: 'string' },
      'no-build': { type: 'boolean' },
    },
  });
  const runs = values.runs && Number(values.runs);
  const asked = positionals.length ? positionals : targets;
  const unknown = asked.filter((target) => !targets.includes(target));
  if (unknown.length) throw new UserError(`no target ${unknown.join(', ')}; there are ${targets.join(', ')}`);
  if (!values['no-build']) await build(asked);
  console.log('| target | executions | seconds | edges | features | new inputs | findings |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const target of asked) {
    const seconds = values.seconds ?? (runs ? undefined : 10);
    const done = await fuzz(target, { runs, seconds, timeout: values.timeout });
    const cells = [done.executions, done.seconds, done.edges, done.features, done.corpus];
    console.log(`| ${[target, ...cells.map((n) => n.toLocaleString('en'))].join(' | ')} | ${done.findings.length} |`);
    for (const finding of done.findings)
      console.log(`  build/fuzz/findings/${target}/${finding}: see build/fuzz/${target}.log`);
    if (!done.ended) process.exitCode = 1;
  }
});
