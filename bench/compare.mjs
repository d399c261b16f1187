// One comparison: the runtimes load a model, agree on its logits, and run in turn. The same in Node.js and in a browser.
import { peers } from './peers/index.mjs';

const warmUpRounds = 8; // V8 begins in its baseline tier
const tolerance = 1e-3; // of the largest logit: the runtimes sum in different orders

/** An image of numbers in [-1.7, 1.7), the same in every run, in both layouts. */
function image([batch, channels, height, width]) {
  let state = 1;
  const nchw = Float32Array.from({ length: batch * channels * height * width }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3.4 * (state / 2 ** 32) - 1.7;
  });
  const pixels = height * width;
  const at = (i) => nchw[(i % channels) * pixels + Math.floor(i / channels)];
  return { nchw, nhwc: Float32Array.from(nchw, (_, i) => at(i)) };
}

function checkAgreement(model, name, expected, output) {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - output[i])), 0) / largest;
  if (!(difference <= tolerance)) {
    throw new Error(`${model}: logits of ${name} differ by ${difference} of the largest`);
  }
}

async function loadOne(name, { model, shape, threads }, { read, places, clock }, input) {
  const files = new Map(); // read before the clock starts
  const readAhead = async (file) => files.get(file) ?? files.set(file, await read(file)).get(file);
  await Promise.all(extensions[name].map((extension) => readAhead(`${model}.${extension}`)));
  const loading = clock();
  const runner = await peers[name].load({ read: readAhead, places, model, shape, threads });
  const load = clock(loading).wall;
  const running = clock();
  const logits = Float32Array.from(await runner.forward(input));
  return { runner, logits, load, first: clock(running).wall };
}

const extensions = {
  wimm: ['safetensors'],
  'onnxruntime-web': ['onnx'],
  '@litertjs/core': ['tflite'],
  '@tensorflow/tfjs-backend-wasm': ['tfjs.json', 'tfjs.bin'],
};

/**
 * Times of `job`: { model, shape, threads, rounds, peers: names }, the first of which is wimm. `engine` has `read`,
 * `places`, and `clock()`, which starts measuring, `clock(start)`, which gives { wall, processor? } milliseconds since.
 * A runtime that cannot run it has an `error` instead of times.
 */
export async function compare(job, engine) {
  const images = image(job.shape);
  const entries = [];
  for (const name of job.peers) {
    const input = images[peers[name].layout];
    try {
      entries.push({ name, input, times: [], ...(await loadOne(name, job, engine, input)) });
    } catch (error) {
      entries.push({ name, error: String(error?.message ?? error) });
    }
  }
  const running = entries.filter(({ runner }) => runner);
  for (const { name, logits } of running) checkAgreement(job.model, name, running[0].logits, logits);

  for (let round = -warmUpRounds; round < job.rounds; ++round) {
    // In another order each time: none always follows the same one.
    for (let turn = 0; turn < running.length; ++turn) {
      const { runner, input, times } = running[(turn + round + warmUpRounds) % running.length];
      const start = engine.clock();
      await runner.forward(input);
      const elapsed = engine.clock(start);
      if (round >= 0) times.push(elapsed);
    }
  }
  for (const { runner } of running) await runner.dispose();
  return entries.map(({ name, error, runner, load, first, times }) =>
    error ? { name, error } : { name, build: runner.build, load, first, times },
  );
}
