// TensorFlow.js on its WebAssembly backend, from a graph model. It has no relaxed SIMD, and no threads in Node.js.
async function load({ read, places, model, shape, threads }) {
  const tf = await import('@tensorflow/tfjs-core');
  const { getThreadsCount, setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter');
  if (threads > 1 && tf.env().get('IS_NODE')) throw new Error('it has no threads in Node.js');
  if (places.tfjs) setWasmPaths(places.tfjs);
  if (threads > 1) {
    setThreadsCount(threads);
    // It takes no more threads than half of these.
    Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * threads, configurable: true });
  } else tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false); // the build without threads
  await tf.setBackend('wasm');
  await tf.ready();
  delete globalThis.navigator?.hardwareConcurrency;
  if (threads > 1 && getThreadsCount() !== threads)
    throw new Error(`${getThreadsCount()} thread instead of ${threads}`);

  const { weightsManifest, ...json } = JSON.parse(new TextDecoder().decode(await read(`${model}.tfjs.json`)));
  const weightData = (await read(`${model}.tfjs.bin`)).buffer;
  const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
  const graph = await loadGraphModel({ load: async () => ({ ...json, weightSpecs, weightData }) });
  const [batch, channels, height, width] = shape;
  return {
    forward: async (data) => {
      const input = tf.tensor4d(data, [batch, height, width, channels]);
      const output = graph.execute(input);
      const logits = output.dataSync();
      tf.dispose([input, output]);
      return logits;
    },
    build: `simd${threads > 1 ? '-threads' : ''}`,
    dispose: () => graph.dispose(),
  };
}

export const tfjs = { layout: 'nhwc', load };
