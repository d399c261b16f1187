// Classifies an image as soon as it can, or with `forward` in the address runs a forward pass on weights that it downloads,
// then measures forward passes. Times are from the navigation on.
import { createModel } from '/wimm/index.js';

const imported = performance.now();
const query = new URLSearchParams(window.location.search);
const onlyForward = query.has('forward');
const image = fetch('/image.png').then((response) => response.blob());
const options = { pretrained: true, hub: query.get('hub'), cache: !onlyForward };
const model = await createModel(query.get('model'), options);
const [, height, width] = model.pretrainedCfg.inputSize;
const x = { data: new Float32Array(3 * height * width).fill(0.5), shape: [1, 3, height, width] };
const ready = performance.now();
if (onlyForward) await model.forward(x);
else await model.classify(await image);
const first = performance.now();

const passes = [];
for (let i = -2; i < 9; i++) {
  const start = performance.now();
  await model.forward(x);
  if (i >= 0) passes.push(performance.now() - start);
}
const forward = passes.sort((a, b) => a - b)[4];
const result = { imported, ready, first, forward, variant: model.backend.variant };
await fetch('/result', { method: 'POST', body: JSON.stringify(result) });
