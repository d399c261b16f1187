// The runtimes that are compared. Of each: `layout` of its input, and
// `load({ address, read, places, model, shape, threads })`, which gives { forward(image) → logits, build, dispose() }.
// `address(name)` and `read(name)` give an exported file's address and its bytes; `places` are those of the runtimes.
import { litert } from './litert.mjs';
import { onnxruntimeWeb } from './onnxruntime_web.mjs';
import { tfjs } from './tfjs.mjs';
import { wimm } from './wimm.mjs';

/** wimm is first: the others are compared to it. */
export const peers = {
  wimm,
  'onnxruntime-web': onnxruntimeWeb,
  '@litertjs/core': litert,
  '@tensorflow/tfjs-backend-wasm': tfjs,
};
