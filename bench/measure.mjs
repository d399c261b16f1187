// The parts of the benchmark. Each takes the plan of a run, and gives what it measured: an entry for each table's line.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { peakModules } from './peak.mjs';
import { modelsFolder, openEngine } from './setup.mjs';

const coldStartModel = 'resnet50';
const coldStarts = 5;

const facts = (model) => JSON.parse(readFileSync(join(modelsFolder, `${model}.json`), 'utf8'));
const quantile = (values, q) => values.toSorted((a, b) => a - b)[Math.round(q * (values.length - 1))];

/** What `work(engine)` gives for each engine of the plan. */
async function inEngines({ engines }, work) {
  const runs = [];
  for (const name of engines) {
    const engine = await openEngine(name);
    try {
      for (const run of await work(engine)) runs.push({ engine: engine.title, ...run });
    } finally {
      await engine.close();
    }
  }
  return runs;
}

const spread = (values) => ({ p10: quantile(values, 0.1), median: quantile(values, 0.5), p90: quantile(values, 0.9) });

// `own` is the first of them. A round's ratio compares what ran within the same second or two, however fast the machine was.
function summarise({ times, ...peer }, i, [own]) {
  if (!times) return peer;
  const wall = times.map(({ wall }) => wall);
  return {
    ...peer,
    rounds: times.length,
    best: quantile(wall, 0),
    ...spread(wall),
    ratio: i && own.times ? spread(wall.map((time, round) => time / own.times[round].wall)) : undefined,
    processor: times[0].processor === undefined ? undefined : quantile(times.map(({ processor }) => processor), 0.5), // prettier-ignore
  };
}

const told = ({ name, error, median, ratio }) =>
  error ? `${name}: ${error}` : `${name} ${median.toFixed(1)} ms${ratio ? `, ${ratio.median.toFixed(2)} ×` : ''}`;

const measureSpeed = (plan) =>
  inEngines(plan, async (engine) => {
    const runs = [];
    for (const threads of plan.threads) {
      for (const model of plan.models) {
        const { shape, multiplyAdds } = facts(model);
        const job = { task: 'compare', model, shape, threads, rounds: plan.rounds, peers: plan.peers };
        const peers = (await engine.run(job)).peers.map(summarise);
        console.error(`${engine.title}, ${threads} threads, ${model}: ${peers.map(told).join(', ')}`);
        runs.push({ threads, model, multiplyAdds, peers });
      }
    }
    return runs;
  });

/** int8 beside float32, of wimm. */
const measureInt8 = (plan) => measureSpeed({ ...plan, peers: ['wimm int8', 'wimm'] });

// A runtime at a time, each in a process of its own.
const measureEach = (plan, models, measure) =>
  inEngines(plan, async (engine) => {
    const runs = [];
    for (const threads of plan.threads) {
      for (const model of models) {
        const peers = [];
        for (const peer of plan.peers) {
          const job = { model, shape: facts(model).shape, threads, peer };
          const answer = await measure(engine, job).catch(({ message }) => ({ error: message.split('\n', 1)[0] }));
          peers.push({ name: peer, ...answer });
        }
        console.error(`${engine.title}, ${threads} threads, ${model}: ${JSON.stringify(peers)}`);
        runs.push({ threads, model, peers });
      }
    }
    return runs;
  });

const measureMemory = (plan) =>
  measureEach(plan, plan.models, (engine, job) => engine.memory({ ...job, task: 'memory' }));

const measureColdStart = (plan) =>
  measureEach({ ...plan, engines: ['chromium'] }, [coldStartModel], async (engine, job) => {
    const visits = [];
    for (let i = 0; i < coldStarts; ++i) visits.push(await engine.coldStart(job));
    const summary = (key) => {
      const times = visits.map((visit) => visit[key]);
      return { best: quantile(times, 0), median: quantile(times, 0.5), worst: quantile(times, 1) };
    };
    return { cold: summary('cold'), warm: summary('warm') };
  });

const measureLayers = (plan) =>
  inEngines(plan, async (engine) => {
    const peaks = await peakModules();
    const runs = [];
    for (const model of plan.models) {
      const { shape, multiplyAdds } = facts(model);
      const job = { task: 'layers', model, shape, threads: 1, rounds: plan.rounds, peaks };
      runs.push({ model, multiplyAdds, ...(await engine.run(job)) });
      console.error(`${engine.title}, ${model}: ${runs.at(-1).layers.length} layers`);
    }
    return runs;
  });

export const parts = {
  speed: measureSpeed,
  int8: measureInt8,
  memory: measureMemory,
  'cold-start': measureColdStart,
  layers: measureLayers,
};
