// loadStateDict: the tensors of a weights file.

import { abortable } from './abort.js';
import type { WeightsFile } from './engine/engine.js';
import { loadEngine } from './engine/load.js';
import { Load } from './load.js';
import { loadChecks, readOptions } from './options.js';
import type { LoadOptions, StateTensor, WeightsSource } from './types.js';
import { openSource } from './weights/sources.js';

/**
 * The tensors of a weights file by name, in the file's order, as they are: wrappers opened (see `key`), prefixes such as
 * `module.` removed, nothing adapted. Errors: those of `createModel` that are of weights, downloads and the machine.
 */
export async function loadStateDict(
  source: WeightsSource,
  options: LoadOptions = {},
): Promise<Map<string, StateTensor>> {
  const chosen = readOptions('loadStateDict', options, loadChecks);
  const load = new Load(chosen);
  return load.run(async () => {
    const read = async (file: WeightsFile) => {
      const engine = await abortable(loadEngine({ threads: 1 }), load.signal);
      return engine.loadStateDict(file, chosen.key, chosen.checkFinite ?? false, load.signal);
    };
    return load.use((context) => openSource(source, context), read);
  });
}
