// Runs jobs in a process of Node.js.
import { execFileSync, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('node_process.mjs', import.meta.url));

/** The engine that is the program at `execPath`, without flags. */
export function nodeEngine(execPath) {
  const { node, v8 } = JSON.parse(
    execFileSync(execPath, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' }),
  );
  const run = (job) =>
    new Promise((resolve, reject) => {
      const child = fork(script, { execPath, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      let log = '';
      child.stderr.on('data', (text) => (log = (log + text).slice(-4000)));
      child.once('message', ({ error, ...answer }) => (error ? reject(new Error(error)) : resolve(answer)));
      child.once('exit', (status) => reject(new Error(`${execPath} ended with status ${status}:\n${log}`)));
      child.send(job);
    });
  return { title: `Node.js ${node} (V8 ${v8})`, run, memory: run, close: async () => {} };
}
