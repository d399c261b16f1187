// Two copies of the package in one process, as of two versions, know nothing of each other but the cache.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import * as wimm from 'wimm';

import { images, rejects, safetensors, serve, temporaryFolder, weightsOf } from './support.mjs';

test('copies of the package have engines, models and settings of their own, and share downloads [R19]', async () => {
  const folder = temporaryFolder();
  cpSync(fileURLToPath(new URL('../../dist', import.meta.url)), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const copy = await import(pathToFileURL(join(folder, 'index.js')));
  process.env.XDG_CACHE_HOME = temporaryFolder();
  const options = { threads: 1 };
  const template = await wimm.createModel('resnet10t', options);
  const bytes = safetensors(weightsOf(template));
  template.dispose();
  let downloads = 0;
  const host = await serve((request, response) => {
    const known = request.headers['if-none-match'];
    if (!known) downloads++;
    response.writeHead(known ? 304 : 200, { etag: '"one"' }).end(known ? undefined : bytes);
  });
  const weights = `${host}/weights`;
  const one = await wimm.createModel('resnet10t', { ...options, weights });
  const other = await copy.createModel('resnet10t', { ...options, weights });
  assert.equal(downloads, 1);
  assert.equal(readdirSync(process.env.XDG_CACHE_HOME).length, 1);
  const x = images(3);
  const [expected, got] = await Promise.all([one.forward(x), other.forward(x)]);
  assert.deepEqual(got, expected);
  const { used } = await one.memory();
  one.dispose();
  await rejects(one.forward(x), 'ERR_DISPOSED');
  assert.deepEqual(await other.forward(x), expected);
  assert.ok((await other.memory()).used <= used);
  assert.ok(!((await other.forward({ ...x, shape: [1] }).catch((error) => error)) instanceof wimm.WimmError));
  other.dispose();
});
