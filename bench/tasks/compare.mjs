// One comparison: the runtimes load a model, agree on its logits, and run in turn. The same in Node.js and in a browser.
import { image } from '../image.mjs';
import { peers } from '../peers/index.mjs';

const warmUpRounds = 8; // V8 begins in its baseline tier
const pause = 100; // milliseconds, in which threads of the one before fall asleep: onnxruntime-web's look for work for 40
const usualTolerance = 1e-3; // of the largest logit: the runtimes sum in different orders

// This thread stays awake: a virtual machine whose processor has rested may be slower for a second, or not, and that would
// be most of the difference between two rounds.
function spin(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

function checkAgreement(model, [first, name], expected, output) {
  const tolerance = Math.max(usualTolerance, peers[first].tolerance ?? 0, peers[name].tolerance ?? 0);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - output[i])), 0) / largest;
  if (!(difference <= tolerance)) {
    throw new Error(`${model}: logits of ${name} differ by ${difference} of the largest`);
  }
}

async function loadOne(name, job, engine, input) {
  const loading = engine.clock();
  const runner = await peers[name].load({ ...job, ...engine });
  const load = engine.clock(loading).wall;
  const running = engine.clock();
  const logits = Float32Array.from(await runner.forward(input));
  return { runner, logits, load, first: engine.clock(running).wall };
}

/**
 * Times of `job`: { model, shape, threads, rounds, peers: names }, the first of which is wimm. `engine` has what
 * runtimes load from, and `clock()`, which starts measuring, `clock(start)`, which gives { wall, processor? } milliseconds since.
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
  for (const { name, logits } of running) checkAgreement(job.model, [running[0].name, name], running[0].logits, logits);

  for (let round = -warmUpRounds; round < job.rounds; ++round) {
    // Back and forth: none always follows the same one.
    for (const { runner, input, times } of round % 2 ? running.toReversed() : running) {
      spin(pause);
      const start = engine.clock();
      await runner.forward(input);
      const elapsed = engine.clock(start);
      if (round >= 0) times.push(elapsed);
    }
  }
  for (const { runner } of running) await runner.dispose();
  return {
    peers: entries.map(({ name, error, runner, load, first, times }) =>
      error ? { name, error } : { name, build: runner.build, load, first, times },
    ),
  };
}
