// A process of the Node.js that is measured: takes one job from its parent, and answers with the times.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

import { run } from '../tasks/index.mjs';

const inFolder = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

// LiteRT.js loads its scripts by `importScripts`, which workers have and Node.js lacks; in Node.js they are CommonJS.
async function runScripts(start) {
  globalThis.require = createRequire(import.meta.url); // they call it later too
  const missing = {
    self: globalThis,
    __dirname: inFolder('.cache/litert'),
    importScripts: (path) => {
      globalThis.__filename = path;
      vm.runInThisContext(`${readFileSync(path, 'utf8')}\nglobalThis.ModuleFactory = ModuleFactory;`, {
        filename: path,
      });
    },
  };
  Object.assign(globalThis, missing);
  try {
    await start();
  } finally {
    for (const name of [...Object.keys(missing), '__filename']) delete globalThis[name];
  }
}

// Wall-clock and processor milliseconds; the latter leaves out the time that other processes took.
function clock(start) {
  if (!start) return { wall: performance.now(), usage: process.cpuUsage() };
  const wall = performance.now() - start.wall;
  const { user, system } = process.cpuUsage(start.usage);
  return { wall, processor: (user + system) / 1e3 };
}

const address = (name) => inFolder(`.cache/models/${name}`);

const engine = {
  address,
  read: async (name) => new Uint8Array(await readFile(address(name))),
  places: {
    wimm: new URL('../../dist/index.js', import.meta.url).href,
    litert: inFolder('.cache/litert/'),
    tfjs: inFolder('node_modules/@tensorflow/tfjs-backend-wasm/dist/'),
    runScripts,
  },
  clock,
  memory: () => ({
    heap: process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers,
    resident: 1024 * process.resourceUsage().maxRSS,
  }),
};

process.once('message', async (job) => {
  let answer;
  try {
    answer = await run(job, engine);
  } catch (error) {
    answer = { error: error.stack };
  }
  process.send(answer, () => process.exit());
});
