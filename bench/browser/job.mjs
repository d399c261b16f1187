// A job in a browser's worker.
import { run as runTask } from '../tasks/index.mjs';

const address = (name) => new URL(`/models/${name}`, globalThis.location.href).href;

const engine = {
  address,
  async read(name) {
    const response = await fetch(address(name));
    if (!response.ok) throw new Error(`no ${name}`);
    return new Uint8Array(await response.arrayBuffer());
  },
  places: {
    wimm: '/wimm/index.js',
    onnxruntimeWeb: '/node_modules/onnxruntime-web/dist/',
    runScripts: (start) => start(),
    litert: '/node_modules/@litertjs/core/wasm/',
    tfjs: '/node_modules/@tensorflow/tfjs-backend-wasm/dist/',
  },
  clock: (start) => (start === undefined ? performance.now() : { wall: performance.now() - start }),
  memory: () => ({}), // the page and its parent know
};

export const run = (job) => runTask(job, engine);
