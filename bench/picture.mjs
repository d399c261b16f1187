// The results of `speed` as a picture: how many times wimm's time each runtime takes, by model.
import { counted, panels } from './report.mjs';

const left = 190;
const width = 860;
const panelWidth = width - left - 30;
const rowHeight = 22;
const range = [0.5, 16];
const ticks = [0.5, 1, 2, 4, 8, 16];
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];

const x = (ratio) => {
  const [low, high] = range.map(Math.log);
  return left + (panelWidth * (Math.min(Math.max(Math.log(ratio), low), high) - low)) / (high - low);
};
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const label = (at, y, content, more = '') => `<text x="${at}" y="${y}" ${more}>${escape(content)}</text>`;

function panel(runs, top) {
  const bottom = top + 24 + rowHeight * runs.length;
  const parts = [label(left, top + 10, `${runs[0].engine.replace(/ \(.*/, '')}, ${counted(runs[0].threads)}`, 'class="title"')]; // prettier-ignore
  for (const tick of ticks) {
    parts.push(
      `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${x(tick)}" x2="${x(tick)}" y1="${top + 18}" y2="${bottom}"/>`,
    );
    parts.push(label(x(tick), bottom + 14, `${tick} ×`, 'text-anchor="middle"'));
  }
  runs.forEach(({ model, peers: [, ...others] }, i) => {
    const y = top + 24 + rowHeight * (i + 0.5);
    parts.push(label(left - 12, y + 4, model, 'text-anchor="end"'));
    others.forEach(({ name, ratio }, which) => {
      if (!ratio) return;
      const title = `<title>${escape(`${name}: ${ratio.median.toFixed(2)}`)}</title>`;
      parts.push(`<circle cx="${x(ratio.median)}" cy="${y}" r="5.5" fill="${colours[which]}">${title}</circle>`);
    });
  });
  return { bottom: bottom + 30, parts };
}

/** An SVG that is legible on light and dark pages. */
export function picture({ versions, runs }) {
  const [ours, ...others] = runs[0].peers.map(({ name }) => name);
  const parts = [label(left, 20, `Time of one forward, as a multiple of ${ours}’s`, 'class="title"')];
  let at = left;
  others.forEach((name, which) => {
    parts.push(`<circle cx="${at + 5}" cy="40" r="5.5" fill="${colours[which]}"/>`);
    const text = `${name} ${versions[name]}`;
    parts.push(label(at + 16, 44, text));
    at += 36 + 7.5 * text.length;
  });
  let top = 70;
  for (const group of panels(runs)) {
    const drawn = panel(group, top);
    parts.push(...drawn.parts);
    top = drawn.bottom + 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}">
<style>
  text { font: 13px system-ui, sans-serif; fill: #444; }
  .title { font-weight: 600; }
  .grid { stroke: #8884; }
  .one { stroke: #888; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) { text { fill: #ccc; } }
</style>
${parts.join('\n')}
</svg>
`;
}
