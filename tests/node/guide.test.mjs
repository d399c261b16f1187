// The models of timm's guide give timm's numbers from every format of checkpoint, at channel counts that take each path
// of the adaptation: from a hub where timm has weights of that format there, else from a file.
import { execFileSync } from 'node:child_process';
import { createReadStream, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createModel, getPretrainedCfg, isModelPretrained } from 'wimm';

import { images } from '../parity/synthetic.mjs';
import { assertGolden, checkpointOf, goldens } from './goldens.mjs';
import { safetensors, serve, temporaryFolder } from './support.mjs';

const guide = {
  adv_inception_v3: 'inception_v3', // the architecture that the name stands for
  cspdarknet53: 'cspdarknet53',
  cspdarknet53_iabn: 'cspdarknet53_iabn',
  cspresnet50: 'cspresnet50',
  cspresnet50d: 'cspresnet50d',
  cspresnext50: 'cspresnext50',
  densenet121: 'densenet121',
  resnet34: 'resnet34',
  resnet50d: 'resnet50d',
};
const channelCounts = [1, 4, 8, 25];

const folder = temporaryFolder();
const file = (name) => join(folder, name);
const wimmPack = join(import.meta.dirname, '../../build/native/weights-tools/wimm-pack');
const saveAsTorch = join(import.meta.dirname, '../parity/save_as_torch.py');

// Each writes the checkpoint of `model.safetensors` in its format.
const formats = {
  'model.safetensors': () => {},
  'zip.pth': (path) => execFileSync('python3', [saveAsTorch, file('model.safetensors'), path]),
  'legacy.pth': (path) => execFileSync('python3', [saveAsTorch, file('model.safetensors'), path, '--legacy']),
  'pack.wimm': (path, name) => execFileSync(wimmPack, ['convert', '--model', name, file('zip.pth'), '-o', path]),
};

/** What the hub has: files by their paths. */
let repository = {};
const hub = await serve((request, response) => {
  const path = repository[request.url];
  if (!path) return response.writeHead(404, { connection: 'close' }).end();
  // Conversions block this process for longer than connections are kept.
  response.writeHead(200, { 'content-length': statSync(path).size, connection: 'close' });
  createReadStream(path).pipe(response);
});

/** Options that load `path`: from the hub, where timm has weights of the model. */
function sourceOf(name, path) {
  if (!isModelPretrained(name) || path.endsWith('.wimm')) return { weights: path };
  const onHub = path.endsWith('.safetensors') ? 'model.safetensors' : 'pytorch_model.bin';
  repository = { [`/${getPretrainedCfg(name).hfHubId}/resolve/main/${onHub}`]: path };
  return { pretrained: true, hub, cache: false };
}

/** Gives the classifier a first row for the background, which timm drops. */
function addBackground(tensors, classifier) {
  for (const name of [`${classifier}.weight`, `${classifier}.bias`]) {
    const { dtype, shape, data } = tensors.get(name);
    const row = data.length / shape[0];
    const extended = new Float32Array(data.length + row).fill(9, 0, row);
    extended.set(data, row);
    tensors.set(name, { dtype, shape: [shape[0] + 1, ...shape.slice(1)], data: extended });
  }
}

for (const [name, architecture] of Object.entries(guide)) {
  test(name, async (t) => {
    const ofChannels = (inChans) =>
      goldens.find(
        ({ model, in_chans, dtype, num_classes }) =>
          model === architecture && in_chans === inChans && dtype === 'float32' && num_classes === 1000,
      );
    const tensors = await checkpointOf(ofChannels(1));
    const { labelOffset, classifier } = getPretrainedCfg(name);
    if (labelOffset) addBackground(tensors, classifier);
    writeFileSync(file('model.safetensors'), safetensors(tensors));

    for (const [format, write] of Object.entries(formats)) {
      write(file(format), name);
      for (const inChans of channelCounts) {
        await t.test(`${inChans} channels from ${format}`, async () => {
          const golden = ofChannels(inChans);
          const model = await createModel(name, { ...sourceOf(name, file(format)), inChans, threads: 1 });
          assertGolden('logits', await model.forward(images(golden.input)), golden.logits);
          model.dispose();
        });
      }
    }
  });
}
