// A benchmark's results as a Markdown page.
const row = (cells) => `| ${cells.join(' | ')} |`;
const timings = { median: 'median ms', p10: 'p10 ms', processor: 'CPU ms', gflops: 'GFLOP/s' };
const ratios = { median: 'medians', best: 'bests', processor: 'CPU' };

export function toMarkdown({ date, cpu, engine, threads, rounds, peers, results }) {
  const [ours, ...others] = peers;
  const header = [
    'model',
    'GMACs',
    ...peers.flatMap(({ name }) => Object.values(timings).map((timing) => `${name}: ${timing}`)),
    ...others.flatMap(({ name }) => Object.values(ratios).map((ratio) => `${name} / ${ours.name}: ${ratio}`)),
  ];
  const lines = results.map(({ model, multiplyAdds, peers: [own, ...rest] }) => [
    model,
    (multiplyAdds / 1e9).toFixed(2),
    ...[own, ...rest].flatMap((peer) => Object.keys(timings).map((key) => peer[key].toFixed(1))),
    ...rest.flatMap((peer) => Object.keys(ratios).map((key) => (peer[key] / own[key]).toFixed(2))),
  ]);
  return `${[
    `${date}, ${cpu}, ${engine}, ${threads} thread, batch 1, ${rounds} rounds in turn;`,
    `${peers.map(({ name, version }) => `${name} ${version}`).join(', ')}.`,
    `GFLOP/s are of processor time. A ratio above 1: ${ours.name} is faster.`,
    '',
    row(header),
    row(header.map((_, i) => (i ? '---:' : '---'))),
    ...lines.map(row),
  ].join('\n')}\n`;
}
