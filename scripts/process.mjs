// Running programs from build scripts: output in a log, a line of progress on long steps, the log's end on failure.
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The checkout.
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

// A failure that its message explains: shown without a stack.
export class UserError extends Error {}

const isExecutable = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
};

// The path of a program, as a shell finds it.
export function findProgram(name) {
  const candidates = name.includes('/')
    ? [name]
    : process.env.PATH.split(delimiter).map((folder) => join(folder, name));
  return candidates.find(isExecutable);
}

export const outputOf = (program, args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });

const lastLines = (path, count) => readFileSync(path, 'utf8').trimEnd().split('\n').slice(-count);

// Runs a program to its end, appending its output to the file `log`; every ten seconds says how far it (or `label`) is.
export async function run(program, args, { log, env = {}, cwd, label }) {
  const file = openSync(log, 'a');
  const start = Date.now();
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - start) / 1000);
    console.log(`  … ${label ? `${label}, ` : ''}${seconds} s so far: ${lastLines(log, 1)[0].slice(0, 100)}`);
  }, 10_000);
  try {
    const child = spawn(program, args, { stdio: ['ignore', file, file], cwd, env: { ...process.env, ...env } });
    const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (status !== 0) {
      throw new UserError(
        `${program} failed with status ${status}. ${log} ends with:\n${lastLines(log, 40).join('\n')}`,
      );
    }
  } finally {
    clearInterval(timer);
    closeSync(file);
  }
}

// Runs a script's main function; a UserError ends the script with its message alone.
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
