// The first layer's filters before and after their adaptation to other channels.
import { adaptInputConv, getPretrainedCfg, loadStateDict, type StateTensor } from 'wimm';

import { element, make } from './page.js';
import type { Loaded } from './session.js';

const figure = element('filters', HTMLDivElement);
const hint = element('filters-hint', HTMLParagraphElement);

const rows = 8;
const maxChannels = 64;
const maxBytes = 2 ** 29; // the file is read once more

let known: { source: File | string; name: string; weight: StateTensor } | undefined;

/** Draws those of a model that has just been loaded. */
export async function showFilters({ model, setup, source, bytes }: Loaded): Promise<void> {
  figure.hidden = true;
  const first = [getPretrainedCfg(setup.arch).firstConv].flat()[0];
  if (!source) return say('Random weights are made for any number of channels: there is nothing to adapt.');
  if (!first) return say('This model has no first convolution to adapt.');
  if (bytes > maxBytes) return say('The weights are too large to be read a second time.');
  say('Reading the first layer …');
  const name = `${first}.weight`;
  const weight = await readWeight(source, name, model.parameters().get(name)?.shape ?? []);
  if (!weight) return say(`The file has no ${name}.`);
  const adapted = model.inChans === 3 ? weight : await adaptInputConv(weight, model.inChans);
  say(explain(name, model.inChans));
  draw('before', 'As trained', weight);
  draw('after', 'As loaded', adapted);
  figure.hidden = false;
}

function say(text: string): void {
  hint.textContent = text;
}

/** The tensor of that name, or in files with names of their own the first of the shape, whatever its channels. */
async function readWeight(source: File | string, name: string, shape: number[]): Promise<StateTensor | undefined> {
  if (known?.source !== source || known.name !== name) {
    const tensors = await loadStateDict(source);
    const fits = (tensor: StateTensor) =>
      tensor.shape.length === shape.length && tensor.shape.every((size, i) => i === 1 || size === shape[i]);
    const weight = tensors.get(name) ?? [...tensors.values()].find(fits);
    if (!weight) return undefined;
    known = { source, name, weight };
  }
  return known.weight;
}

function explain(name: string, inChans: number): string {
  if (inChans === 3) return `${name} takes three channels as it is.`;
  if (inChans === 1) return `${name} for one channel: the sum of the three.`;
  return `${name} for ${inChans} channels: the three repeat, scaled by 3 ∕ ${inChans}. Each side is drawn by its own largest weight.`;
}

/** The indices of the filters by their norms: some of a trained layer are all but zero. */
function strongestFirst(values: Float32Array, filters: number): number[] {
  const size = values.length / filters;
  const norms = Array.from({ length: filters }, (_, i) =>
    values.subarray(i * size, (i + 1) * size).reduce((sum, value) => sum + value * value, 0),
  );
  return [...norms.keys()].sort((a, b) => norms[b] - norms[a]);
}

/** The strongest filters, one a row, a channel a column: blue is negative, orange positive. */
function draw(id: 'before' | 'after', title: string, weight: StateTensor): void {
  const [filters, channels, height, width] = weight.shape;
  const values = floatsOf(weight);
  const shown = { rows: Math.min(filters, rows), columns: Math.min(channels, maxChannels) };
  const strongest = strongestFirst(values, filters);
  const canvas = element(id, HTMLCanvasElement);
  const scale = Math.max(1, Math.ceil(24 / width));
  const gap = 2;
  const [across, down] = [width * scale + gap, height * scale + gap];
  canvas.width = shown.columns * across; // a gap behind the last one too: filters of both canvases are of one size
  canvas.height = shown.rows * down - gap;
  canvas.closest('figure')!.style.setProperty('--columns', String(shown.columns));
  const context = canvas.getContext('2d')!;
  const [negative, zero, positive] = ['--negative', '--zero', '--positive'].map(colour);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let i = 0; i < shown.rows * shown.columns * height * width; i++) {
    const [x, y] = [i % width, Math.floor(i / width) % height];
    const column = Math.floor(i / (width * height)) % shown.columns;
    const row = Math.floor(i / (width * height * shown.columns));
    const value = values[((strongest[row] * channels + column) * height + y) * width + x] / largest;
    context.fillStyle = mix(zero, value < 0 ? negative : positive, Math.sqrt(Math.abs(value)));
    context.fillRect(column * across + x * scale, row * down + y * scale, scale, scale);
  }
  const all = shown.columns < channels ? `, the first ${shown.columns} channels` : '';
  const shape = make('span', '', `[${weight.shape.join(', ')}]${all}`);
  element(`${id}-text`, HTMLElement).replaceChildren(`${title} `, shape);
}

type Colour = [red: number, green: number, blue: number];

/** A colour of the style sheet, #rrggbb. */
function colour(property: string): Colour {
  const text = getComputedStyle(figure).getPropertyValue(property).trim();
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) as Colour;
}

function mix(from: Colour, to: Colour, share: number): string {
  return `rgb(${from.map((value, i) => Math.round(value + share * (to[i] - value))).join(' ')})`;
}

function floatsOf({ dtype, data }: StateTensor): Float32Array {
  if (dtype === 'bfloat16') return new Float32Array(Uint32Array.from(data as Uint16Array, (bits) => bits << 16).buffer);
  if (dtype === 'float16') return Float32Array.from(data as Uint16Array, halfToFloat);
  return Float32Array.from(data as Float32Array);
}

function halfToFloat(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const magnitude = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
  return bits & 0x8000 ? -magnitude : magnitude;
}
