// A picture as a model of any number of channels takes it. Beyond grey and colour, its channels are spectral bands,
// composed from the photograph: band by band from red through green to blue.
import type { ImageSource, RawImage } from 'wimm';

import { element } from './page.js';
import type { Picture } from './picture.js';

const canvas = element('bands', HTMLCanvasElement);
const hint = element('bands-hint', HTMLParagraphElement);

const longestSide = 384;
const cellSide = 96;

type Weights = readonly [red: number, green: number, blue: number];

const grey: Weights = [0.299, 0.587, 0.114]; // ITU-R 601, as the model's own

/** What each of `count` channels takes of red, green and blue. */
function channelWeights(count: number): Weights[] {
  if (count === 1) return [grey];
  return Array.from({ length: count }, (_, band) => {
    const position = (2 * band) / (count - 1); // 0 is red, 1 green, 2 blue
    const share = (colour: number) => Math.max(0, 1 - Math.abs(position - colour));
    return [share(0), share(1), share(2)];
  });
}

/** Grey and colour the library makes itself; other channels are composed here. */
export async function channelsOf(picture: Picture, count: number): Promise<ImageSource> {
  if (count === 1 || count === 3) return picture.kind === 'camera' ? picture.video : picture.file;
  const pixels = await readPixels(picture, longestSide);
  return compose(pixels, channelWeights(count));
}

function compose({ data: rgba, width, height }: ImageData, weights: Weights[]): RawImage {
  const channels = weights.length;
  const data = new Uint8Array(width * height * channels);
  for (let pixel = 0, to = 0; pixel < rgba.length; pixel += 4) {
    for (const [red, green, blue] of weights) {
      data[to++] = red * rgba[pixel] + green * rgba[pixel + 1] + blue * rgba[pixel + 2] + 0.5;
    }
  }
  return { data, width, height, channels };
}

/** The pixels of a picture on white, its longest side at most `longest`. */
async function readPixels(picture: Picture, longest: number): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture.kind === 'camera' ? picture.video : picture.file);
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** Full rows, where that leaves them about as many as columns. */
function columnsFor(cells: number): number {
  const columns = Math.ceil(Math.sqrt(cells));
  return cells % columns && cells % (columns + 1) === 0 ? columns + 1 : columns;
}

/** Draws the channels side by side, each in its own colour; beside red, green and blue also the three together. */
export async function showChannels(picture: Picture, count: number): Promise<void> {
  const { data: rgba, width, height } = await readPixels(picture, count === 1 ? longestSide : 2 * cellSide);
  const weights = channelWeights(count);
  const cells = count === 3 ? 4 : count;
  const columns = columnsFor(cells);
  const gap = count === 1 ? 0 : 2;
  canvas.width = columns * (width + gap) - gap;
  canvas.height = Math.ceil(cells / columns) * (height + gap) - gap;
  const context = canvas.getContext('2d')!;
  const cell = new ImageData(rgba.slice(), width, height);
  const put = (index: number) =>
    context.putImageData(cell, (index % columns) * (width + gap), Math.floor(index / columns) * (height + gap));
  if (count === 3) put(3);
  weights.forEach(([red, green, blue], band) => {
    const tint = count === 1 ? [1, 1, 1] : [red, green, blue].map((share) => 0.25 + 0.75 * share);
    for (let i = 0; i < rgba.length; i += 4) {
      const sample = red * rgba[i] + green * rgba[i + 1] + blue * rgba[i + 2];
      for (let colour = 0; colour < 3; colour++) cell.data[i + colour] = sample * tint[colour];
      cell.data[i + 3] = 255;
    }
    put(band);
  });
  const what =
    count === 1
      ? 'Grey'
      : count === 3
        ? 'Red, green, blue, and the three together'
        : `${count} bands, composed from the picture`;
  canvas.setAttribute('aria-label', `The channels of the picture: ${what}`);
  hint.textContent = what;
}
