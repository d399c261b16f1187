// wimm classify: the classes of images.

import { createModel } from '../create_model.js';
import { type Arguments, type Command, numberOption, showProgress, UsageError } from './command.js';

const defaultModel = 'tf_efficientnet_lite0';

async function open(args: Arguments) {
  const { model = defaultModel, weights } = args.values as Record<string, string | undefined>;
  return createModel(model, {
    inChans: numberOption(args, 'in-chans'),
    onProgress: showProgress,
    ...(weights === undefined ? { pretrained: true } : { weights }),
  });
}

export const classify: Command = {
  usage: 'classify IMAGE… [--model NAME] [--weights FILE] [--in-chans N] [--top-k N] [--json]',
  options: {
    model: { type: 'string' },
    weights: { type: 'string' },
    'in-chans': { type: 'string' },
    'top-k': { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(args) {
    const images = args.positionals;
    if (images.length === 0) throw new UsageError('classify needs an IMAGE');
    const topK = numberOption(args, 'top-k');
    const model = await open(args);
    try {
      const results = await model.classify(images, { topK });
      if (args.values.json) {
        console.log(
          JSON.stringify(
            images.map((image, i) => ({ image, classes: results[i] })),
            null,
            2,
          ),
        );
        return;
      }
      results.forEach((classes, i) => {
        console.log(images[i]);
        for (const { probability, index, label } of classes) {
          console.log(`  ${probability.toFixed(4)}  ${label ?? `class ${index}`}`);
        }
      });
    } finally {
      model.dispose();
    }
  },
};
