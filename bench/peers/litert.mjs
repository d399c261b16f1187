// LiteRT.js on its CPU accelerator (XNNPACK), from TFLite. Its build with threads needs relaxed SIMD.
async function load({ read, places, model, shape, threads }) {
  const { loadAndCompile, loadLiteRt, supportsFeature, Tensor } = await import('@litertjs/core');
  const relaxed = await supportsFeature('relaxedSimd');
  // In a worker it takes its own script to be the worker's.
  globalThis.Module = {
    locateFile: (name) => places.litert + name,
    mainScriptUrlOrBlob: `${places.litert}litert_wasm_threaded_internal.js`,
  };
  await places.runScripts(() => loadLiteRt(places.litert, { threads: threads > 1 }));
  const compiled = await loadAndCompile(await read(`${model}.tflite`), {
    accelerator: 'wasm',
    cpuOptions: { numThreads: threads },
  });
  const [batch, channels, height, width] = shape;
  return {
    forward: async (data) => {
      const input = new Tensor(data, [batch, height, width, channels]);
      const [output] = await compiled.run(input);
      const logits = output.toTypedArray();
      input.delete();
      output.delete();
      return logits;
    },
    build: `${relaxed ? 'relaxed' : 'simd'}${threads > 1 ? '-threads' : ''}`,
    dispose: () => compiled.delete(),
  };
}

export const litert = { layout: 'nhwc', load };
