// wimm list and wimm info: what the catalogue knows.

import { getPretrainedCfg, listModels, listPretrainedTags } from '../catalogue/index.js';
import { type Command, onlyPositional, UsageError } from './command.js';

export const list: Command = {
  usage: 'list [FILTER] [--pretrained]',
  options: { pretrained: { type: 'boolean' } },
  async run({ values, positionals }) {
    if (positionals.length > 1) throw new UsageError('at most one FILTER may be given');
    const names = listModels(positionals[0], { pretrained: values.pretrained === true });
    if (names.length > 0) console.log(names.join('\n'));
  },
};

export const info: Command = {
  usage: 'info NAME',
  options: {},
  async run(args) {
    const name = onlyPositional(args, 'NAME');
    const cfg = getPretrainedCfg(name);
    console.log(JSON.stringify({ ...cfg, tags: listPretrainedTags(cfg.architecture) }, null, 2));
  },
};
