// Long runs, in Node.js and in Chromium: memory stays what it was, results stay right, and whatever is stopped ends soon.
//   npm run soak          WIMM_SOAK=0.01 takes a hundredth of the rounds
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import * as wimm from 'wimm';

import { launch, open, site, skip } from '../browser/support.mjs';
import { safetensors, weightsOf } from '../node/support.mjs';
import * as work from './work.mjs';

const share = Number(process.env.WIMM_SOAK ?? 1);
const times = (count) => Math.max(40, Math.round(count * share));
const noise = 1024; // bytes that the allocator adds to blocks where the rest of a free one is too small for another
const browser = await launch();

const template = await wimm.createModel('resnet10t', { threads: 1 });
const checkpoint = safetensors(weightsOf(template));
template.dispose();

const inNode = (name, options, amount) => work[name](wimm, options, { ...amount, checkpoint });

async function inChromium(name, options, amount) {
  const source = await readFile(join(import.meta.dirname, 'work.mjs'));
  const address = await site({ '/work.mjs': source, '/weights': checkpoint }, { isolated: true });
  const tab = await open(browser, address);
  const result = await tab.evaluate(
    async ([name, options, amount]) => {
      const work = await import('/work.mjs');
      const checkpoint = new Uint8Array(await (await fetch('/weights')).arrayBuffer());
      return work[name](window.wimm, options, { ...amount, checkpoint });
    },
    [name, options, amount],
  );
  await tab.close();
  return result;
}

for (const [where, soak, options] of [
  ['Node.js', inNode, { skip: false }],
  ['Chromium', inChromium, { skip }],
]) {
  for (const setting of [
    { threads: 1, worker: false },
    { threads: 2, worker: true },
  ]) {
    const title = `in ${where}, ${setting.worker ? 'in a worker with threads' : 'in the thread itself'},`;

    test(`${title} models that come and go leave memory as it was`, options, async (t) => {
      const count = times(1000);
      const memory = await soak('cycle', setting, { count, measured: [10, 20, count] });
      t.diagnostic(JSON.stringify(memory));
      assert.ok(Math.abs(memory[count].used - memory[10].used) < noise);
      assert.equal(memory[count].heap, memory[20].heap);
    });

    test(`${title} a model that runs and runs keeps its memory and its results`, options, async (t) => {
      const { early, late, different } = await soak('forward', setting, { count: times(10_000) });
      t.diagnostic(JSON.stringify({ early, late, different }));
      assert.equal(different, 0);
      assert.ok(Math.abs(late.used - early.used) < noise);
      assert.equal(late.heap, early.heap);
    });

    test(`${title} calls made at once give what calls one by one give`, options, async (t) => {
      const result = await soak('together', setting, { rounds: times(100) });
      t.diagnostic(JSON.stringify(result));
      assert.equal(result.different, 0);
    });

    test(`${title} what is stopped at any point ends within 5 s, and leaves nothing`, options, async (t) => {
      const count = times(1000);
      const { codes, longest, used } = await soak('abort', setting, { count });
      t.diagnostic(JSON.stringify({ codes, longest, used }));
      assert.deepEqual({ ...codes, done: 0 }, { ERR_ABORTED: count, done: 0 });
      assert.ok(longest < 5000);
      assert.ok(Math.abs(used[1] - used[0]) < noise);
    });
  }
}
