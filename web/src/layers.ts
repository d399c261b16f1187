// The time of each layer: a bar for each in the order in which they run, and a table.
import type { LayerProfile, Model, Tensor } from 'wimm';

import { breakable, element, inMegabytes, inMilliseconds, inPercent, make } from './page.js';

const figure = element('layers', HTMLDivElement);
const hint = element('layers-hint', HTMLParagraphElement);
const chart = element('chart', HTMLDivElement);
const detail = element('layer', HTMLParagraphElement);
const legend = element('operations', HTMLUListElement);
const rows = element('layer-rows', HTMLTableSectionElement);
const allLayers = element('all-layers', HTMLButtonElement);

const maxRuns = 5;
const maxMilliseconds = 1000;
const slowest = 8; // rows of the table at first
const colours = 3; // of operations; all others are grey

let layers: LayerProfile[] = [];
let total = 0;
let selected = 0;

export function openLayers(): void {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -10,
    PageUp: 10,
  };
  chart.addEventListener('keydown', (event) => {
    const ends: Record<string, number> = { Home: 0, End: layers.length - 1 };
    const next = ends[event.key] ?? (event.key in steps ? selected + steps[event.key] : undefined);
    if (next === undefined) return;
    event.preventDefault();
    select(next);
  });
  for (const type of ['pointerdown', 'pointermove'] as const) {
    chart.addEventListener(type, ({ clientX }) => {
      const { left, width } = chart.getBoundingClientRect();
      select(Math.floor(((clientX - left) / width) * layers.length));
    });
  }
  allLayers.addEventListener('click', () => {
    allLayers.setAttribute('aria-expanded', String(allLayers.getAttribute('aria-expanded') !== 'true'));
    showRows();
  });
}

/** Measures a model that is warm on `x`, and draws what it finds. */
export async function showLayers(model: Model, x: Tensor): Promise<void> {
  const end = performance.now() + maxMilliseconds;
  const runs = [await model.profile(x)];
  while (runs.length < maxRuns && performance.now() < end) runs.push(await model.profile(x));
  const { weights, arena } = await model.memory();
  // What else the machine does only adds to the time.
  layers = runs.reduce((best, run) => (timeOf(run) < timeOf(best) ? run : best));
  total = timeOf(layers);
  const multiplyAdds = layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0);
  hint.textContent = [
    `${inMilliseconds(total)} in ${layers.length} layers, the best of ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`,
    `${(multiplyAdds / 1e9).toFixed(2)} G multiply-adds`,
    speed({ multiplyAdds, milliseconds: total }),
    `${inMegabytes(weights)} of weights, ${inMegabytes(arena)} of buffers`,
  ].join(' · ');
  showBars();
  showRows();
  select(layers.indexOf(bySlowness()[0]));
  figure.hidden = false;
}

function timeOf(run: LayerProfile[]): number {
  return run.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

function speed({ multiplyAdds, milliseconds }: Pick<LayerProfile, 'multiplyAdds' | 'milliseconds'>): string {
  return `${((2 * multiplyAdds) / milliseconds / 1e6).toFixed(1)} GFLOP/s`;
}

function bySlowness(): LayerProfile[] {
  return layers.toSorted((a, b) => b.milliseconds - a.milliseconds);
}

/** Those of a class for each operation, the one that takes most of the time first. */
function showBars(): void {
  const times = new Map<string, number>();
  for (const { kind, milliseconds } of layers) times.set(kind, (times.get(kind) ?? 0) + milliseconds);
  const operations = [...times].sort(([, a], [, b]) => b - a);
  const rank = new Map(operations.map(([kind], i) => [kind, Math.min(colours, i)]));
  const colourOf = (kind: string) => `operation-${rank.get(kind)}`;
  const largest = bySlowness()[0].milliseconds;
  chart.ariaValueMax = String(layers.length);
  chart.replaceChildren(
    ...layers.map(({ kind, milliseconds }) => {
      const bar = make('span', colourOf(kind));
      bar.style.setProperty('--share', String(milliseconds / largest));
      return bar;
    }),
  );
  const named = operations.slice(0, colours);
  const rest = operations.slice(colours).reduce((sum, [, time]) => sum + time, 0);
  legend.replaceChildren(
    ...named.map(([kind, time]) => make('li', colourOf(kind), `${kind} ${inPercent(time / total)}`)),
    ...(rest ? [make('li', `operation-${colours}`, `others ${inPercent(rest / total)}`)] : []),
  );
}

/** The slowest layers, or all in the order in which they run. */
function showRows(): void {
  const all = allLayers.getAttribute('aria-expanded') === 'true';
  const largest = bySlowness()[0].milliseconds;
  const shown = all ? layers : bySlowness().slice(0, slowest);
  rows.replaceChildren(
    ...shown.map((layer) => {
      const share = make('td', '', make('span', 'bar'), inPercent(layer.milliseconds / total));
      share.style.setProperty('--share', String(layer.milliseconds / largest));
      const name = Object.assign(make('th', '', ...breakable(layer.name)), { scope: 'row' });
      const row = make(
        'tr',
        '',
        name,
        make('td', '', layer.kind),
        make('td', '', inMilliseconds(layer.milliseconds)),
        share,
      );
      row.addEventListener('pointerenter', () => select(layers.indexOf(layer)));
      return row;
    }),
  );
  allLayers.textContent = all ? 'The slowest alone' : `All ${layers.length} layers, in order`;
}

function select(index: number): void {
  chart.children[selected]?.classList.remove('selected');
  selected = Math.max(0, Math.min(layers.length - 1, index));
  chart.children[selected].classList.add('selected');
  const layer = layers[selected];
  const facts = [
    layer.kind,
    layer.shape.join(' × '),
    inMilliseconds(layer.milliseconds),
    inPercent(layer.milliseconds / total),
  ];
  if (layer.multiplyAdds) facts.push(speed(layer));
  detail.replaceChildren(make('strong', '', layer.name), ` ${facts.join(' · ')}`);
  chart.ariaValueNow = String(selected + 1);
  chart.ariaValueText = `${layer.name}, ${facts.join(', ')}`;
}
