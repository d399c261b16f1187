// The time of each layer of a model in wimm, beside the peak of the machine's WebAssembly SIMD.
import { image } from '../image.mjs';
import { peers } from '../peers/index.mjs';

const warmUps = 8;
const peakCalls = 30;
const peakLoops = 200_000;

// The best of many calls, in GFLOP/s; undefined where the engine lacks the instruction.
async function measurePeak({ bytes, flopsPerLoop }) {
  if (!WebAssembly.validate(bytes)) return undefined;
  const { instance } = await WebAssembly.instantiate(bytes);
  let best = 0;
  for (let call = 0; call < peakCalls; ++call) {
    const start = performance.now();
    instance.exports.run(peakLoops, 0.999, 0.001);
    best = Math.max(best, (flopsPerLoop * peakLoops) / (performance.now() - start) / 1e6);
  }
  return best;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Of `job`: { model, shape, threads, rounds, peaks: { name: { bytes, flopsPerLoop } } }. */
export async function profileLayers(job, engine) {
  const peaks = {};
  for (const [name, { bytes, flopsPerLoop }] of Object.entries(job.peaks)) {
    peaks[name] = await measurePeak({ bytes: new Uint8Array(bytes), flopsPerLoop });
  }
  const runner = await peers.wimm.load({ ...job, ...engine });
  const { nchw } = image(job.shape);
  const profiles = [];
  for (let round = -warmUps; round < job.rounds; ++round) {
    const profile = await runner.profile(nchw);
    if (round >= 0) profiles.push(profile);
  }
  const layers = profiles[0].map((layer, i) => ({
    ...layer,
    milliseconds: median(profiles.map((profile) => profile[i].milliseconds)),
  }));
  return { build: runner.build, peaks, layers };
}
