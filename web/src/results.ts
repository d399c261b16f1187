// The classes of a picture, as bars.
import type { Classification } from 'wimm';

import { element, inPercent, make } from './page.js';

const list = element('classes', HTMLOListElement);
const timing = element('timing', HTMLParagraphElement);

export function showClasses(classes: Classification[], note: string): void {
  while (list.children.length < classes.length) {
    list.append(make('li', '', make('span', 'label'), make('span', 'share'), make('span', 'bar')));
  }
  while (list.children.length > classes.length) list.lastElementChild!.remove();
  classes.forEach(({ index, label, probability }, i) => {
    const item = list.children[i] as HTMLLIElement;
    const [name, share] = item.children;
    name.textContent = label?.split(',')[0] ?? `class ${index}`;
    item.title = label ?? '';
    share.textContent = inPercent(probability);
    item.style.setProperty('--share', String(probability));
  });
  list.classList.remove('stale');
  showNote(note);
}

/** The classes shown are of another model or picture. */
export function markStale(): void {
  list.classList.add('stale');
}

export function showNote(note: string): void {
  if (timing.textContent !== note) timing.textContent = note;
}
