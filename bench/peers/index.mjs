// The runtimes that are compared. Of each: `layout` of its input, and
// `load({ read, places, model, shape, threads })`, which gives { forward(image) → logits, dispose() }.
// `read(name)` gives the bytes of an exported file, `places` the addresses of what a runtime fetches itself.
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
