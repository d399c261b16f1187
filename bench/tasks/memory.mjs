// What one runtime with one model takes up: run it alone in a process.
import { image } from '../image.mjs';
import { peers } from '../peers/index.mjs';

const forwards = 3;

// Every WebAssembly memory that is made from now on.
function recordMemories() {
  const memories = new Set();
  const { Memory, instantiate, instantiateStreaming } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(...parameters) {
      super(...parameters);
      memories.add(this);
    }
  };
  const recordExports = (result) => {
    for (const value of Object.values((result.instance ?? result).exports)) {
      if (value instanceof Memory) memories.add(value);
    }
    return result;
  };
  WebAssembly.instantiate = (...parameters) => instantiate(...parameters).then(recordExports);
  WebAssembly.instantiateStreaming = (...parameters) => instantiateStreaming(...parameters).then(recordExports);
  return memories;
}

/** The bytes of the WebAssembly memory of `job`: { model, shape, threads, peer }, and what the engine's `memory()` says. */
export async function occupy(job, engine) {
  const memories = recordMemories();
  const input = image(job.shape)[peers[job.peer].layout];
  const runner = await peers[job.peer].load({ ...job, ...engine });
  for (let i = 0; i < forwards; ++i) await runner.forward(input);
  const wasm = [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  return { name: job.peer, wasm, ...(await engine.memory()) };
}
