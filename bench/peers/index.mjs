// The runtimes that are compared. Of each: `layout` of its input, and
// `load({ address, read, places, model, shape, threads })`, which gives { forward(image) → logits, build, dispose() }, and
// `tolerance`, where its logits differ by more of the largest than what comes of sums in another order.
// `address(name)` and `read(name)` give an exported file's address and its bytes; `places` are those of the runtimes.
import { litert } from './litert.mjs';
import { onnxruntimeWeb } from './onnxruntime_web.mjs';
import { tfjs } from './tfjs.mjs';
import { wimm, wimmInt8 } from './wimm.mjs';

/** The first that run are compared to the others: wimm. */
export const peers = {
  wimm,
  'wimm int8': wimmInt8,
  'onnxruntime-web': onnxruntimeWeb,
  '@litertjs/core': litert,
  '@tensorflow/tfjs-backend-wasm': tfjs,
};
