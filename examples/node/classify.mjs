// node classify.mjs PHOTO… : what each photograph shows.
import { configure, createModel } from 'wimm';

const { HF_ENDPOINT } = process.env; // a mirror of the hub
if (HF_ENDPOINT) configure({ hub: HF_ENDPOINT });

const model = await createModel('tf_efficientnet_lite0', {
  pretrained: true,
  onProgress: ({ stage, loaded, total }) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${stage} ${loaded}/${total} `);
  },
});
for (const photo of process.argv.slice(2)) {
  const classes = await model.classify(photo, { topK: 3 });
  console.log(photo, ...classes.map(({ label, probability }) => `${label} ${(100 * probability).toFixed(1)}%`));
}
model.dispose();
