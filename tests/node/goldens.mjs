// timm's numbers, and checkpoints to get them from (tests/parity/make_goldens.py).
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { createModel } from 'wimm';

import { checkpoint, sampleIndices } from '../parity/synthetic.mjs';

const folder = join(import.meta.dirname, '../parity/goldens');
export const goldens = readdirSync(folder).flatMap(
  (file) => JSON.parse(readFileSync(join(folder, file), 'utf8')).cases,
);

// Of the largest magnitude. Both sides compute in float32, in different orders.
const tolerance = 1e-4;

export function assertGolden(what, { shape, data }, golden) {
  assert.deepEqual(shape, golden.shape, what);
  const indices = sampleIndices(golden.samples.length, data.length);
  const error = indices.reduce((worst, index, i) => Math.max(worst, Math.abs(data[index] - golden.samples[i])), 0);
  assert.ok(error <= tolerance * golden.max, `${what} differ by ${error} of ${golden.max}`);
}

/** The tensors of the checkpoint of `model` (for three channels) that a golden was made with. */
export async function checkpointOf({ model, gain, img_size: imgSize, sized_checkpoint: sized }) {
  const random = await createModel(model, { threads: 1, ...(sized && { imgSize }) });
  try {
    return checkpoint(random.parameters(), gain);
  } finally {
    random.dispose();
  }
}
