// The model in use. Loading another frees it.
import { createModel, type Model, type Progress } from 'wimm';

import type { Setup, Weights } from './setup.js';

export interface Loaded {
  model: Model;
  setup: Setup;
  /** What the weights were read from; undefined where they are random. */
  source: File | string | undefined;
  /** Bytes of the weights. */
  bytes: number;
}

let stop = new AbortController();
let loaded: Loaded | undefined;

export function current(): Loaded | undefined {
  return loaded;
}

/** Stops a load under way. */
export function cancel(): void {
  stop.abort();
}

/** Loads what `setup` asks for, and gives up any load before. Rejects with `ERR_ABORTED` if it is cancelled itself. */
export async function load(setup: Setup, onProgress: (progress: Progress) => void): Promise<Loaded> {
  cancel();
  stop = new AbortController();
  const { signal } = stop;
  loaded?.model.dispose();
  loaded = undefined;
  const { arch, weights, inChans, simd, threads } = setup;
  let source = sourceOf(weights);
  let bytes = 0;
  const model = await createModel(weights.kind === 'hub' && weights.tag ? `${arch}.${weights.tag}` : arch, {
    inChans,
    simd,
    threads,
    signal,
    pretrained: weights.kind === 'hub',
    weights: source,
    onProgress: (progress) => {
      if (progress.stage === 'load' && weights.kind !== 'random') {
        source ??= progress.file;
        bytes = progress.total;
      }
      onProgress(progress);
    },
  });
  if (signal.aborted) {
    model.dispose();
    throw signal.reason;
  }
  return (loaded = { model, setup, source, bytes });
}

function sourceOf(weights: Weights): File | string | undefined {
  if (weights.kind === 'file') return weights.file;
  return weights.kind === 'address' ? weights.url : undefined;
}
