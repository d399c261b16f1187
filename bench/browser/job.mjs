// A job in a browser's worker.
import { compare } from '../compare.mjs';

const engine = {
  async read(name) {
    const response = await fetch(`/models/${name}`);
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
};

export const run = async (job) => ({ peers: await compare(job, engine) });
