// The runtimes that are compared: each loads a model of export_onnx.py, and runs it on one thread.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const packageJson = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));

async function loadWimm(folder, model, shape) {
  const { createModel } = await import('../dist/index.js');
  const loaded = await createModel(model, { weights: join(folder, `${model}.safetensors`), threads: 1 });
  return {
    forward: async (data) => (await loaded.forward({ data, shape })).data,
    dispose: () => loaded.dispose(),
  };
}

async function loadOnnxruntimeWeb(folder, model, shape) {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(readFileSync(join(folder, `${model}.onnx`)), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  return {
    forward: async (data) => (await session.run({ [input]: new ort.Tensor('float32', data, shape) }))[output].data,
    dispose: () => session.release(),
  };
}

// `load(folder, model, shape)` gives { forward(image) → logits, dispose() }. The first is compared to the others.
export const peers = [
  { name: 'wimm', version: packageJson('../package.json').version, load: loadWimm },
  {
    name: 'onnxruntime-web',
    version: packageJson('package.json').dependencies['onnxruntime-web'],
    load: loadOnnxruntimeWeb,
  },
];
