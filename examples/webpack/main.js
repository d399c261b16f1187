import { createModel } from 'wimm';

const status = document.querySelector('output');
const results = document.querySelector('ol');
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const loading = createModel('tf_efficientnet_lite0', {
  pretrained: true,
  onProgress: ({ stage, loaded, total }) => {
    status.textContent = stage === 'download' ? `${megabytes(loaded)} of ${megabytes(total)} MB` : stage;
  },
});
loading.then(
  ({ backend }) => (status.textContent = `ready: ${backend.variant}`),
  ({ message }) => (status.textContent = message),
);

document.querySelector('input').addEventListener('change', async ({ target }) => {
  const model = await loading;
  const classes = await model.classify(target.files[0]);
  results.replaceChildren(
    ...classes.map(({ label, probability }) =>
      Object.assign(document.createElement('li'), { textContent: `${label} ${(100 * probability).toFixed(1)}%` }),
    ),
  );
});
