// wimm bench: how fast a model runs, with random weights.

import { createModel } from '../create_model.js';
import { type Command, numberOption, onlyPositional } from './command.js';

const warmUps = 5;
const minRounds = 20;
const minMilliseconds = 3000;

function quantile(sorted: number[], fraction: number): number {
  return sorted[Math.floor(fraction * (sorted.length - 1))];
}

/** Milliseconds of each of many runs, sorted. */
async function measure(run: () => Promise<unknown>): Promise<number[]> {
  for (let i = 0; i < warmUps; i++) await run();
  const times: number[] = [];
  const end = performance.now() + minMilliseconds;
  while (times.length < minRounds || performance.now() < end) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

export const benchmark: Command = {
  usage: 'bench NAME [--threads N] [--in-chans N]',
  options: { threads: { type: 'string' }, 'in-chans': { type: 'string' } },
  async run(args) {
    const name = onlyPositional(args, 'NAME');
    const model = await createModel(name, {
      threads: numberOption(args, 'threads'),
      inChans: numberOption(args, 'in-chans'),
    });
    try {
      const [, height, width] = model.pretrainedCfg.inputSize;
      const shape = [1, model.inChans, height, width];
      const x = { data: new Float32Array(model.inChans * height * width).fill(0.5), shape };
      const multiplyAdds = (await model.profile(x)).reduce((sum, layer) => sum + layer.multiplyAdds, 0);
      const times = await measure(() => model.forward(x));
      const median = quantile(times, 0.5);
      const { heap, weights, arena } = await model.memory();
      const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
      console.log(`model        ${model.name}, input [${shape.join(', ')}]
build        ${model.backend.simd}, ${model.backend.threads} ${model.backend.threads === 1 ? 'thread' : 'threads'}
latency      median ${median.toFixed(2)} ms, p10 ${quantile(times, 0.1).toFixed(2)} ms, of ${times.length} runs
speed        ${((2 * multiplyAdds) / median / 1e6).toFixed(1)} GFLOP/s
peak memory  ${megabytes(heap)} of WebAssembly (weights ${megabytes(weights)}, buffers ${megabytes(arena)})`);
    } finally {
      model.dispose();
    }
  },
};
