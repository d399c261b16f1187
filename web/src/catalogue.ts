// The catalogue: a combobox that searches the models, and the choice of a model's weights.
import { getPretrainedCfg, isModelPretrained, listModels } from 'wimm';
import parameterCounts from 'virtual:parameter-counts';

import { breakable, element, inMillions, make } from './page.js';

interface Entry {
  name: string;
  /** 0 where it is not known. */
  parameters: number;
  side: number;
  fixed: boolean;
  pretrained: boolean;
}

const input = element('model', HTMLInputElement);
const popup = element('catalogue', HTMLDivElement);
const list = element('models', HTMLUListElement);
const found = element('found', HTMLOutputElement);
const onlyPretrained = element('only-pretrained', HTMLInputElement);
const bySize = element('by-size', HTMLInputElement);

let entries: Entry[] | undefined;
let shown: Entry[] = [];
let active = -1;
let chosen = '';

export function entryOf(name: string): Entry {
  const { inputSize, fixedInputSize } = getPretrainedCfg(name);
  return {
    name,
    parameters: parameterCounts[name] ?? 0,
    side: inputSize[1],
    fixed: fixedInputSize,
    pretrained: isModelPretrained(name),
  };
}

/** Calls `onChoose` with the architecture that the visitor chooses. */
export function openCatalogue(onChoose: (name: string) => void): void {
  const choose = (entry: Entry | undefined) => {
    if (!entry) return;
    showModel(entry.name);
    close();
    onChoose(entry.name);
  };
  input.addEventListener('focus', () => {
    input.select();
    open();
  });
  input.addEventListener('click', () => popup.hidden && open());
  input.addEventListener('input', () => {
    popup.hidden = false;
    search(input.value);
  });
  input.addEventListener('keydown', (event) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) {
      if (popup.hidden) open();
      else activate(Math.max(0, Math.min(shown.length - 1, active + steps[event.key])));
    } else if (event.key === 'Enter' && !popup.hidden) choose(shown[active]);
    else if (event.key === 'Escape' && !popup.hidden) close();
    else return;
    event.preventDefault();
  });
  for (const box of [onlyPretrained, bySize]) box.addEventListener('change', () => search(query()));
  list.addEventListener('pointerdown', (event) => event.preventDefault()); // the focus stays in the input
  list.addEventListener('click', (event) => {
    const row = (event.target as Element).closest('li');
    if (row) choose(shown[Number(row.dataset.index)]);
  });
  const field = input.parentElement!;
  field.addEventListener('focusout', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && field.contains(relatedTarget))) close();
  });
  document.addEventListener('pointerdown', ({ target }) => {
    if (!field.contains(target as Node)) close();
  });
}

export function showModel(name: string): void {
  chosen = name;
  input.value = name;
}

function query(): string {
  return input.value === chosen ? '' : input.value;
}

function open(): void {
  popup.hidden = false;
  search(query());
}

function close(): void {
  popup.hidden = true;
  input.value = chosen;
  input.setAttribute('aria-expanded', 'false');
  input.removeAttribute('aria-activedescendant');
}

/** Names that have every word, or match the wildcard. */
function matching(text: string): Entry[] {
  entries ??= listModels().map(entryOf);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const wild = /[*?[]/.test(text) ? new Set(listModels(text.trim())) : undefined;
  const has = ({ name }: Entry) => (wild ? wild.has(name) : words.every((word) => name.includes(word)));
  const result = entries.filter((entry) => has(entry) && (entry.pretrained || !onlyPretrained.checked));
  return bySize.checked ? result.sort((a, b) => a.parameters - b.parameters) : result;
}

function search(text: string): void {
  shown = matching(text);
  found.value = `${shown.length} ${shown.length === 1 ? 'model' : 'models'}`;
  list.replaceChildren(...shown.map(row));
  input.setAttribute('aria-expanded', 'true');
  const current = shown.findIndex(({ name }) => name === chosen);
  activate(current >= 0 ? current : shown.length ? 0 : -1);
}

function row({ name, parameters, side, fixed, pretrained }: Entry, index: number): HTMLLIElement {
  const item = make(
    'li',
    '',
    make('span', 'name', ...breakable(name)),
    make('span', 'size', parameters ? inMillions(parameters) : ''),
    make('span', 'side', `${side}²${fixed ? ' fixed' : ''}`),
    make('span', 'state', pretrained ? 'pretrained' : ''),
  );
  item.id = `model-${index}`;
  item.role = 'option';
  item.dataset.index = String(index);
  item.setAttribute('aria-selected', String(name === chosen));
  return item;
}

function activate(index: number): void {
  list.children[active]?.classList.remove('active');
  active = index;
  const item = list.children[index];
  item?.classList.add('active');
  const show = () => item?.scrollIntoView({ block: 'nearest' });
  show();
  requestAnimationFrame(show); // rows above have their heights only once they are drawn
  if (item) input.setAttribute('aria-activedescendant', item.id);
  else input.removeAttribute('aria-activedescendant');
}
