// A benchmark's results as Markdown.
const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (header, rows) => [header, header.map((_, i) => (i ? '---:' : '---')), ...rows].map(row);

const groupBy = (items, key) => {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups.values()];
};

function speedTable(runs) {
  const names = runs[0].peers.map(({ name }) => name);
  const [ours, ...others] = names;
  const time = ({ median, p10, p90 }) =>
    median ? `${median.toFixed(1)} (${p10.toFixed(1)} – ${p90.toFixed(1)})` : '–';
  const ratio = (own, peer, key) => (peer[key] && own[key] ? (peer[key] / own[key]).toFixed(2) : '–');
  const header = [
    'model',
    'GMACs',
    ...names.map((name) => `${name}, ms`),
    ...others.map((name) => `${name} / ${ours}`),
    ...others.map(() => '… of p10'),
  ];
  const rows = runs.map(({ model, multiplyAdds, peers }) => [
    model,
    (multiplyAdds / 1e9).toFixed(2),
    ...peers.map(time),
    ...peers.slice(1).map((peer) => ratio(peers[0], peer, 'median')),
    ...peers.slice(1).map((peer) => ratio(peers[0], peer, 'p10')),
  ]);
  return table(header, rows);
}

export function speedTables({ date, cpu, rounds, versions, runs }) {
  const names = runs[0].peers.map(({ name }) => name);
  const sections = groupBy(runs, ({ engine, threads }) => `${engine} ${threads}`).flatMap((group) => [
    '',
    `## ${group[0].engine}, ${group[0].threads} ${group[0].threads === 1 ? 'thread' : 'threads'}`,
    '',
    ...speedTable(group),
  ]);
  return `${[
    `${date}, ${cpu}, batch 1, ${rounds} rounds in turn; ${names.map((name) => `${name} ${versions[name]}`).join(', ')}.`,
    `Milliseconds are the median (10th – 90th percentile). A ratio above 1: ${names[0]} is faster.`,
    ...sections,
  ].join('\n')}\n`;
}
