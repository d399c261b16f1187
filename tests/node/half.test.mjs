// Checkpoints in half precision, of each format and for any number of input channels, give timm's numbers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createModel, loadStateDict } from 'wimm';

import { images, narrowed } from '../parity/synthetic.mjs';
import { assertGolden, checkpointOf, goldens } from './goldens.mjs';
import { safetensors, temporaryFolder } from './support.mjs';

const folder = temporaryFolder();
const saveAsTorch = join(import.meta.dirname, '../parity/save_as_torch.py');

/** The checkpoint of a golden in each format, its floats in `dtype`: paths. */
async function writeFormats(golden, dtype) {
  const path = join(folder, `${golden.model}-${dtype}`);
  const paths = { safetensors: `${path}.safetensors`, zip: `${path}.pth`, legacy: `${path}-legacy.pth` };
  writeFileSync(paths.safetensors, safetensors(narrowed(await checkpointOf(golden), dtype)));
  execFileSync('python3', [saveAsTorch, paths.safetensors, paths.zip]);
  execFileSync('python3', [saveAsTorch, paths.safetensors, paths.legacy, '--legacy']);
  return paths;
}

async function check({ model: name, in_chans: inChans, input, features, logits }, weights) {
  const model = await createModel(name, { weights, inChans, threads: 1 });
  const x = images(input);
  assertGolden('features', await model.forwardFeatures(x), features);
  assertGolden('logits', await model.forward(x), logits);
  model.dispose();
}

for (const name of ['resnet34', 'tf_efficientnet_lite0']) {
  for (const dtype of ['float16', 'bfloat16']) {
    test(`${name} in ${dtype}`, async (t) => {
      const cases = goldens.filter((golden) => golden.model === name && golden.dtype === dtype);
      const channels = cases.map(({ in_chans }) => in_chans);
      assert.deepEqual(channels, [1, 2, 3, 4, 8, 25]);
      for (const [format, weights] of Object.entries(await writeFormats(cases[0], dtype))) {
        assert.equal((await loadStateDict(weights)).values().next().value.dtype, dtype);
        for (const golden of cases)
          await t.test(`${format}, ${golden.in_chans} channels`, () => check(golden, weights));
      }
    });
  }
}
