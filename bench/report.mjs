// A benchmark's results as a Markdown page.
const row = (cells) => `| ${cells.join(' | ')} |`;

export function toMarkdown({ date, cpu, engine, threads, rounds, peers, results }) {
  const [ours, ...others] = peers;
  const header = ['model', 'GMACs', ...peers.flatMap(({ name }) => [`${name}: median ms`, 'p10 ms', 'GFLOP/s'])];
  for (const { name } of others) header.push(`${name} / ${ours.name}: medians`, 'bests');
  const lines = results.map(({ model, multiplyAdds, peers: [own, ...rest] }) => {
    const timings = [own, ...rest].flatMap(({ median, p10, gflops }) => [median, p10, gflops].map((x) => x.toFixed(1)));
    const ratios = rest.flatMap(({ median, best }) => [median / own.median, best / own.best].map((x) => x.toFixed(2)));
    return row([model, (multiplyAdds / 1e9).toFixed(2), ...timings, ...ratios]);
  });
  return `${[
    `${date}, ${cpu}, ${engine}, ${threads} thread, batch 1, ${rounds} rounds in turn;`,
    `${peers.map(({ name, version }) => `${name} ${version}`).join(', ')}. A ratio above 1: ${ours.name} is faster.`,
    '',
    row(header),
    row(header.map((_, i) => (i ? '---:' : '---'))),
    ...lines,
  ].join('\n')}\n`;
}
