// A cache of folders that are slow to make, outside the checkout, each named by a hash of what defines its content.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export const cacheFolder = resolve(
  process.env.WIMM_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'wimm'),
);

const isRunning = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
};

// Takes the lock file, waiting for its holder; a lock whose holder has died is taken over.
async function lock(path) {
  for (let waited = false; ; waited = true) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
    if (holder && !isRunning(holder)) rmSync(path, { force: true });
    else if (!waited) console.log(`  waiting for process ${holder}, which is making ${path.replace(/\.lock$/, '')}`);
    await setTimeout(200);
  }
}

// The folder `<name>-<hash of inputs>`, filled by `make(folder)` where it is not there; `<folder>.log` is for its use.
// The file `.complete` is written last: an interrupted run leaves no folder that looks whole.
export async function cached(name, inputs, make) {
  const hash = createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 16);
  const folder = join(cacheFolder, `${name}-${hash}`);
  const stamp = join(folder, '.complete');
  if (existsSync(stamp)) return folder;
  mkdirSync(cacheFolder, { recursive: true });
  await lock(`${folder}.lock`);
  try {
    if (existsSync(stamp)) return folder;
    console.log(`${name}: setting up in ${folder}`);
    const start = Date.now();
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.log`, { force: true });
    mkdirSync(folder);
    await make(folder);
    writeFileSync(stamp, '');
    rmSync(`${folder}.log`, { force: true });
    console.log(`${name}: done in ${Math.round((Date.now() - start) / 1000)} s`);
    return folder;
  } finally {
    rmSync(`${folder}.lock`);
  }
}
