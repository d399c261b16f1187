// A part's results as a Markdown page.
const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (header, rows) => [header, header.map((_, i) => (i ? '---:' : '---')), ...rows].map(row);
const megabytes = (bytes) => (bytes === undefined ? '–' : (bytes / 1e6).toFixed(0));
const fixed = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '–');
export const counted = (threads) => `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
const names = ([{ peers }]) => peers.map(({ name }) => name);

/** Runs by engine and number of threads. */
export function panels(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = `${run.engine} ${run.threads}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()];
}

/** For each engine and number of threads, a heading and what `body(runs)` says. */
const sections = (runs, body) =>
  panels(runs).flatMap((group) => ['', `## ${group[0].engine}, ${counted(group[0].threads)}`, '', ...body(group)]);

// Why a runtime is not there, once.
function absences(runs) {
  const reasons = runs.flatMap(({ peers }) => peers.filter(({ error }) => error).map(({ name, error }) => `${name}: ${error}`)); // prettier-ignore
  return reasons.length ? ['', ...new Set(reasons)] : [];
}

const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

function speed({ rounds, runs }) {
  const spread = (values, digits) => {
    if (!values?.median) return '–';
    const [median, p10, p90] = [values.median, values.p10, values.p90].map((value) => fixed(value, digits));
    return `${median} (${p10} – ${p90})`;
  };
  const fastest = (others) => Math.min(...others.flatMap(({ ratio }) => ratio?.median ?? []));
  const mean = (ratios) => fixed(geometricMean(ratios), 2); // none where one is not there
  const body = (group) => {
    const [ours, ...others] = names(group);
    const builds = group[0].peers.filter(({ build }) => build).map(({ name, build }) => `${name} ${build}`);
    const times = group.map(({ model, multiplyAdds, peers }) => [model, fixed(multiplyAdds / 1e9, 2), ...peers.map((peer) => spread(peer, 1))]); // prettier-ignore
    const ratios = group.map(({ model, peers: [, ...rest] }) => [
      model,
      ...rest.map(({ ratio }) => spread(ratio, 2)),
      fixed(fastest(rest), 2),
    ]);
    const means = others.map((_, i) => mean(group.map(({ peers }) => peers[i + 1].ratio?.median)));
    ratios.push(['geometric mean', ...means, mean(group.map(({ peers: [, ...rest] }) => fastest(rest)))]);
    const starts = group.map(({ model, peers }) => [
      model,
      ...peers.flatMap(({ load, first, median }) => [fixed(load, 0), fixed(first, 0), median ? fixed(first / median) : '–']), // prettier-ignore
    ]);
    return [
      `Builds: ${builds.join(', ')}.`,
      '',
      'Milliseconds of a forward:',
      '',
      ...table(['model', 'GMACs', ...[ours, ...others]], times),
      ...absences(group),
      '',
      `How many times ${ours}’s time:`,
      '',
      ...table(['model', ...others, 'the fastest of them'], ratios),
      '',
      'Milliseconds to load a model (files are local) and of its first forward:',
      '',
      ...table(['model', ...[ours, ...others].flatMap((name) => [`${name}: load`, 'first', 'first / median'])], starts),
    ];
  };
  return [
    `Batch 1, ${rounds} rounds, in each of which the runtimes run in turn. Times are of the wall clock, median (10th – 90th percentile);`,
    'ratios are those of each round, in the same way, so that a machine whose speed changes does not change them.',
    ...sections(runs, body),
  ];
}

function memory({ runs }) {
  const body = (group) => {
    const header = ['model', ...names(group).flatMap((name) => [`${name}: WebAssembly`, 'heap', 'peak resident'])];
    const cells = ({ wasm, heap, resident }) => [megabytes(wasm), megabytes(heap), megabytes(resident)];
    return [...table(header, group.map(({ model, peers }) => [model, ...peers.flatMap(cells)])), ...absences(group)]; // prettier-ignore
  };
  return [
    'Megabytes after three forwards, one runtime in a process. WebAssembly: its memory, which never shrinks. Heap: of',
    'JavaScript with its array buffers, which Chromium does not tell of a worker. Peak resident: the most that the process,',
    'or the page’s renderer, has had.',
    ...sections(runs, body),
  ];
}

function coldStart({ runs }) {
  const time = (times) =>
    times ? `${fixed(times.median, 0)} (${fixed(times.best, 0)} – ${fixed(times.worst, 0)})` : '–';
  const body = (group) => [
    ...table(
      [group[0].model, 'cold, ms', 'warm, ms'],
      group[0].peers.map(({ name, cold, warm }) => [name, time(cold), time(warm)]),
    ),
    ...absences(group),
  ];
  return [
    `From the start of a page’s load to the first logits of ${runs[0].model}, from a local server, one runtime a page: the median`,
    '(best – worst). Cold: in a new profile. Warm: at the next visit, with what Chromium has kept of files and compiled code.',
    ...sections(runs, body),
  ];
}

const shownLayers = 25;

function layers({ rounds, runs }) {
  const gflops = ({ multiplyAdds, milliseconds }) => (2e-6 * multiplyAdds) / milliseconds;
  const body = ({ engine, model, build, peaks, layers }) => {
    const peak = Math.max(...Object.values(peaks).filter(Boolean));
    const total = layers.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const multiplyAdds = layers.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
    const longest = layers.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, shownLayers);
    const rows = longest.map((layer) => [
      `\`${layer.name}\``,
      layer.kind,
      layer.shape.join(' × '),
      fixed(layer.milliseconds, 2),
      fixed((100 * layer.milliseconds) / total),
      layer.multiplyAdds ? fixed(gflops(layer)) : '–',
      layer.multiplyAdds ? fixed((100 * gflops(layer)) / peak, 0) : '–',
    ]);
    const all = { multiplyAdds, milliseconds: total };
    return [
      '',
      `## ${model}, ${engine}, ${build}`,
      '',
      `Peak: ${Object.entries(peaks).filter(([, value]) => value).map(([name, value]) => `${name} ${fixed(value)}`).join(', ')} GFLOP/s.`, // prettier-ignore
      `All ${layers.length} layers: ${fixed(total)} ms, ${fixed(gflops(all))} GFLOP/s, ${fixed((100 * gflops(all)) / peak, 0)} % of it.`,
      '',
      ...table(['layer', 'kind', 'output', 'ms', '% of time', 'GFLOP/s', '% of peak'], rows),
    ];
  };
  return [
    `wimm on one thread, the median of ${rounds} profiles; the ${shownLayers} longest layers of each model. The peak is that of a`,
    'WebAssembly module that multiplies and adds in registers alone, measured in the same process.',
    ...runs.flatMap(body),
  ];
}

const bodies = { speed, int8: speed, memory, 'cold-start': coldStart, layers };

export function toMarkdown(report) {
  const { part, date, cpu, versions, peers } = report;
  const who = peers.map((name) => `${name} ${versions[name]}`).join(', ');
  return `${[`${date}, ${cpu}; ${['layers', 'int8'].includes(part) ? `wimm ${versions.wimm}` : who}.`, ...bodies[part](report)].join('\n')}\n`;
}
