// What the visitor asks for: a model, its weights, its channels. The page's address keeps it, so that it can be shared.
import { getPretrainedCfg, isModel, listModels, listPretrainedTags } from 'wimm';

import { currentEngine, type Engine } from './engine.js';
import { entryOf, openCatalogue, showModel } from './catalogue.js';
import { element, inMegabytes, inMillions, make } from './page.js';

/** Where weights come from. */
export type Weights =
  { kind: 'hub'; tag: string } | { kind: 'random' } | { kind: 'address'; url: string } | { kind: 'file'; file: File };

export interface Setup extends Engine {
  arch: string;
  weights: Weights;
  inChans: number;
}

const form = element('setup', HTMLFormElement);
const facts = element('facts', HTMLParagraphElement);
const weights = element('weights', HTMLSelectElement);
const weightsHint = element('weights-hint', HTMLParagraphElement);
const address = element('address', HTMLInputElement);
const fileInput = element('weights-file', HTMLInputElement);
const anyChannels = element('channels', HTMLInputElement);
const radios = [...form.querySelectorAll<HTMLInputElement>('input[name="channels"]')];

let arch = 'tf_efficientnet_lite0';
let inChans = 3;
let file: File | undefined;

export function currentSetup(): Setup {
  return { arch, weights: currentWeights(), inChans, ...currentEngine() };
}

function currentWeights(): Weights {
  const { value } = weights;
  if (value === 'random') return { kind: 'random' };
  if (value === 'address') return { kind: 'address', url: address.value.trim() };
  if (value === 'file' && file) return { kind: 'file', file };
  return { kind: 'hub', tag: value.replace(/^hub:/, '') };
}

/** Shows a weights file as what the model loads. */
export function useWeightsFile(chosen: File): void {
  file = chosen;
  fillWeights('file');
}

interface Listeners {
  /** Another model or other weights: a download. */
  onModel: () => void;
  /** The same weights for other channels. */
  onChannels: () => void;
  onSubmit: () => void;
}

export function openSetup({ onModel, onChannels, onSubmit }: Listeners): void {
  readAddress();
  const changed = () => {
    describe();
    onModel();
  };
  openCatalogue((name) => {
    arch = name;
    fillWeights();
    changed();
  });
  weights.addEventListener('change', () => {
    if (weights.value === 'choose') {
      fillWeights(file && 'file');
      fileInput.click();
    } else changed();
    if (weights.value === 'address') address.focus();
  });
  address.addEventListener('change', changed);
  fileInput.addEventListener('change', () => {
    const [chosen] = fileInput.files ?? [];
    if (chosen) useWeightsFile(chosen);
    fileInput.value = '';
    changed();
  });
  form.addEventListener('change', ({ target }) => {
    if (!(target instanceof HTMLInputElement) || (target !== anyChannels && target.name !== 'channels')) return;
    if (!target.checkValidity() || !target.value) return showChannels();
    inChans = Number(target.value);
    showChannels();
    onChannels();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    onSubmit();
  });
}

/** The page's address: what it asks for. */
function readAddress(): void {
  const asked = new URLSearchParams(location.search);
  const [name, tag] = (asked.get('model') ?? '').split('.');
  if (isModel(name) && listModels(name).length) arch = name;
  const channels = Number(asked.get('channels'));
  if (Number.isInteger(channels) && channels >= 1 && channels <= Number(anyChannels.max)) inChans = channels;
  const source = asked.get('weights');
  if (source && source !== 'random') address.value = new URL(source, location.href).href;
  showModel(arch);
  fillWeights(source === 'random' ? 'random' : source ? 'address' : tag && `hub:${tag}`);
  showChannels();
  describe();
}

export function writeAddress({ arch, weights, inChans, simd, threads }: Setup): void {
  const asked = new URLSearchParams({ model: weights.kind === 'hub' && weights.tag ? `${arch}.${weights.tag}` : arch });
  if (inChans !== 3) asked.set('channels', String(inChans));
  if (weights.kind === 'random') asked.set('weights', 'random');
  if (weights.kind === 'address') asked.set('weights', weights.url);
  if (simd) asked.set('simd', simd);
  if (threads) asked.set('threads', String(threads));
  history.replaceState(null, '', `?${asked}`);
}

/** The weights that this model may have; `value` is chosen, or the default. */
function fillWeights(value?: string): void {
  const tags = listPretrainedTags(arch);
  const option = (value: string, text: string) => Object.assign(make('option', '', text), { value });
  const hub = tags.length ? tags.map((tag) => option(`hub:${tag}`, tag)) : [];
  if (!tags.length && entryOf(arch).pretrained) hub.push(option('hub:', 'pretrained'));
  const group = Object.assign(make('optgroup', '', ...hub), { label: 'timm’s hub' });
  const others = make(
    'optgroup',
    '',
    ...(file ? [option('file', file.name)] : []),
    option('choose', file ? 'Another file…' : 'A file…'),
    option('address', 'An address…'),
    option('random', 'Random'),
  );
  others.label = 'Others';
  weights.replaceChildren(...(hub.length ? [group] : []), others);
  const fallback = hub[0]?.value ?? 'random';
  weights.value = value ?? fallback;
  if (weights.selectedIndex < 0) weights.value = fallback;
  describe();
}

function showChannels(): void {
  for (const radio of radios) radio.checked = Number(radio.value) === inChans;
  anyChannels.value = radios.some(({ checked }) => checked) ? '' : String(inChans);
}

function describe(): void {
  address.hidden = weights.value !== 'address';
  const { parameters, side, fixed } = entryOf(arch);
  const size = parameters ? `${inMillions(parameters)} parameters` : '';
  facts.textContent = [size, `${side} × ${side} pixels${fixed ? ', no others' : ''}`].filter(Boolean).join(' · ');
  const { kind, ...chosen } = currentWeights();
  address.required = kind === 'address';
  if (kind === 'hub') {
    const tag = (chosen as { tag: string }).tag;
    const { license } = getPretrainedCfg(tag ? `${arch}.${tag}` : arch);
    const bytes = parameters ? `about ${inMegabytes(4 * parameters)}` : '';
    weightsHint.textContent = [bytes, license && `licence ${license}`].filter(Boolean).join(' · ');
  } else {
    const hints = { random: 'No download', address: 'Its server must allow CORS', file: 'From this machine' };
    weightsHint.textContent = hints[kind];
  }
}
