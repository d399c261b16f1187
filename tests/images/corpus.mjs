// The image files of files/, and what PIL reads in them.
import { readFileSync } from 'node:fs';

const folder = new URL('./', import.meta.url);
const bytes = (base64) => base64 && new Uint8Array(Buffer.from(base64, 'base64'));

/** Images of 18 × 16: { name, file, rgb, grey, rgba }, the last three interleaved samples. */
export const corpus = Object.entries(JSON.parse(readFileSync(new URL('expected.json', folder)))).map(
  ([name, { rgb, grey, rgba }]) => ({
    name,
    file: readFileSync(new URL(`files/${name}`, folder)),
    rgb: bytes(rgb),
    grey: bytes(grey),
    rgba: bytes(rgba),
  }),
);

export const find = (name) => corpus.find((image) => image.name === name);

/** A model, and the options with which its `preprocess` neither resizes nor crops an image of the corpus. */
export const unscaled = ['resnet18', { imgSize: [16, 18], threads: 1 }];

/** The 8-bit samples, interleaved, that a normalised tensor [1, C, H, W] was made from. */
export function samplesOf({ data, shape }, { mean, std }) {
  const [, channels, height, width] = shape;
  const average = (values) => (values[0] + values[1] + values[2]) / 3;
  const statistic = (values, c) => (channels === 1 ? average(values) : values[c % 3]);
  return Uint8Array.from({ length: data.length }, (_, i) => {
    const c = i % channels;
    const value = data[c * height * width + Math.floor(i / channels)];
    return Math.round((value * statistic(std, c) + statistic(mean, c)) * 255);
  });
}

/** Images of the corpus, some of whose bytes are others; the same each time. */
export function* mutants(count) {
  let state = 1;
  const next = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  for (let i = 0; i < count; i++) {
    const file = new Uint8Array(corpus[i % corpus.length].file);
    for (let changes = 1 + next(8); changes > 0; changes--) file[next(file.length)] = next(256);
    yield next(4) === 0 ? file.subarray(0, next(file.length)) : file;
  }
}

/** The first half of each file of one frame: in files of several, the first may be whole. */
export const halves = corpus
  .filter(({ name }) => !name.startsWith('animated'))
  .map(({ file }) => file.subarray(0, file.length / 2));

/** What may be said of a file that is not as it should be. */
export const mutantErrors = ['ERR_IMAGE_DECODE', 'ERR_LIMIT_EXCEEDED', 'ERR_INPUT_SHAPE'];

/** The largest difference of two lists of samples. */
export function difference(a, b) {
  if (a.length !== b.length) return Infinity;
  return a.reduce((largest, sample, i) => Math.max(largest, Math.abs(sample - b[i])), 0);
}
