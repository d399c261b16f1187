// What the page's parts share: its elements by id, and how numbers read.

/** The element of that id, which is a `type`. */
export function element<T extends Element>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`);
  return found;
}

/** A new element of class `name`. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  name = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children);
  return made;
}

/** A name that may be broken behind its dots and underscores. */
export function breakable(name: string): (Node | string)[] {
  return name.split(/(?<=[._])/).flatMap((part) => [part, make('wbr')]);
}

const megabytes = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export function inMegabytes(bytes: number): string {
  return `${megabytes.format(bytes / 1e6)} MB`;
}

/** 4 652 008 → 4.7 M */
export function inMillions(count: number): string {
  const millions = count / 1e6;
  return `${millions.toFixed(millions < 9.95 ? 1 : 0)} M`;
}

const percent = new Intl.NumberFormat('en', { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function inPercent(share: number): string {
  return percent.format(share);
}

export function inMilliseconds(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 0.995 ? 2 : milliseconds < 9.95 ? 1 : 0)} ms`;
}
