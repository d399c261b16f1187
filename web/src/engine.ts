// What runs the model: the build and its threads, chosen by the visitor or by the library.
import { capabilities, type Backend, type Simd } from 'wimm';

import { element, make } from './page.js';

/** What the visitor wants; the library chooses what is undefined. */
export interface Engine {
  simd: Simd | undefined;
  threads: number | undefined;
}

const select = element('threads', HTMLSelectElement);
const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="simd"]')];
const hint = element('engine-hint', HTMLParagraphElement);
const maxThreads = 16;

const wanted = readAddress();

export function currentEngine(): Engine {
  return { ...wanted };
}

/** In words. */
export function nameOf({ simd, threads }: Pick<Backend, 'simd' | 'threads'>): string {
  const build = simd === 'relaxed-simd' ? 'relaxed SIMD' : 'plain SIMD';
  return `${build}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}

/** Offers what the machine and the page allow. */
export async function openEngine(onEngine: () => void): Promise<void> {
  const { variant, relaxedSimd, threads, reasons } = await capabilities();
  if (!variant) throw new Error(`wimm cannot run here: ${reasons[0]}`);
  const most = threads ? Math.min(navigator.hardwareConcurrency || 1, maxThreads) : 1;
  const counts = Array.from({ length: most }, (_, i) =>
    Object.assign(make('option', '', String(i + 1)), { value: i + 1 }),
  );
  select.replaceChildren(...counts);
  select.disabled = most === 1;
  for (const radio of radios) radio.disabled = radio.value === 'relaxed-simd' && !relaxedSimd;
  if (!relaxedSimd) wanted.simd = undefined;
  if (wanted.threads! > most) wanted.threads = undefined;
  show({ simd: wanted.simd ?? (relaxedSimd ? 'relaxed-simd' : 'simd'), threads: wanted.threads ?? most });
  hint.textContent = reasons.join('\n');
  select.addEventListener('change', () => {
    wanted.threads = Number(select.value);
    onEngine();
  });
  for (const radio of radios) {
    radio.addEventListener('change', () => {
      wanted.simd = radio.value as Simd;
      onEngine();
    });
  }
}

/** Shows the one that a model has got, and why no faster one can be had. */
export async function showEngine(backend: Backend): Promise<void> {
  show(backend);
  const { reasons } = await capabilities();
  const where = backend.worker ? 'in a worker' : 'in the page';
  hint.textContent = [`Build ${backend.variant}, ${where}`, ...reasons].join('\n');
}

function show({ simd, threads }: Pick<Backend, 'simd' | 'threads'>): void {
  for (const radio of radios) radio.checked = radio.value === simd;
  select.value = String(threads);
}

function readAddress(): Engine {
  const asked = new URLSearchParams(location.search);
  const simd = radios.map(({ value }) => value as Simd).find((value) => value === asked.get('simd'));
  const threads = Number(asked.get('threads'));
  return { simd, threads: Number.isInteger(threads) && threads >= 1 ? threads : undefined };
}
