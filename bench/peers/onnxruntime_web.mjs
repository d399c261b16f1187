// onnxruntime-web on its WebAssembly provider, from ONNX. Its one build of that has SIMD and threads, and no relaxed SIMD.
async function load({ address, places, model, shape, threads }) {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = threads;
  if (places.onnxruntimeWeb) ort.env.wasm.wasmPaths = places.onnxruntimeWeb;
  const session = await ort.InferenceSession.create(address(`${model}.onnx`), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  return {
    forward: async (data) => (await session.run({ [input]: new ort.Tensor('float32', data, shape) }))[output].data,
    build: 'simd-threads',
    dispose: () => session.release(),
  };
}

export const onnxruntimeWeb = { layout: 'nchw', load };
