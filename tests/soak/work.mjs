// What a soak does, in Node.js or in a page: each function takes the package, options of createModel, and how much,
// and gives figures.

const name = 'mobilenetv3_small_050';

function images(channels, size, batch = 1) {
  const data = Float32Array.from({ length: batch * channels * size * size }, (_, i) => Math.sin(i * 0.37));
  return { data, shape: [batch, channels, size, size] };
}

/** Numbers in [0, 1), the same in every run. */
function numbers(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const same = ({ data }, expected) => data.every((value, i) => Object.is(value, expected.data[i]));

/** Models are created, run and disposed of. Gives memory after some of the cycles: { [cycle]: { heap, used } }. */
export async function cycle({ createModel }, options, { count, measured }) {
  const memory = {};
  for (let i = 1; i <= count; i++) {
    const model = await createModel(name, { ...options, inChans: 1 + (i % 4) });
    await model.forward(images(model.inChans, 32 + 16 * (i % 3)));
    model.dispose();
    if (!measured.includes(i)) continue;
    const probe = await createModel(name, { ...options, numClasses: 1 });
    const { heap, used } = await probe.memory();
    probe.dispose();
    memory[i] = { heap, used };
  }
  return memory;
}

/** One model runs. Gives memory after 100 and after all calls, and how many results differed from the first. */
export async function forward({ createModel }, options, { count }) {
  const model = await createModel(name, options);
  const inputs = [32, 48, 64].map((size) => images(3, size));
  const expected = [];
  for (const input of inputs) expected.push(await model.forward(input));
  const measure = async () => {
    await model.forward(inputs[0]); // what a model keeps depends on its last input
    const { heap, used } = await model.memory();
    return { heap, used };
  };
  let early;
  let different = 0;
  for (let i = 0; i < count; i++) {
    if (i === Math.min(99, count >> 1)) early = await measure();
    if (!same(await model.forward(inputs[i % 3]), expected[i % 3])) different++;
  }
  const late = await measure();
  model.dispose();
  return { early, late, different };
}

/** Calls at once, on one model and on many. Gives how many results differed from those of calls one by one. */
export async function together({ createModel }, options, { rounds }) {
  const models = [];
  for (const inChans of [1, 3, 4, 25]) models.push(await createModel(name, { ...options, inChans }));
  const jobs = models.flatMap((model) => [32, 48, 64].map((size) => ({ model, input: images(model.inChans, size) })));
  const expected = [];
  for (const { model, input } of jobs) expected.push(await model.forward(input));
  let different = 0;
  for (let round = 0; round < rounds; round++) {
    const ofOne = jobs.filter(({ model }) => model === models[round % models.length]);
    for (const asked of [jobs, [...ofOne, ...ofOne, ...ofOne]]) {
      const results = await Promise.all(asked.map(({ model, input }) => model.forward(input)));
      results.forEach((result, i) => {
        if (!same(result, expected[jobs.indexOf(asked[i])])) different++;
      });
    }
  }
  models.forEach((model) => model.dispose());
  return { different };
}

/**
 * Loads and calls are stopped at points drawn at random, until `count` were. Gives codes, the longest time to settle, and
 * memory. What ended before its signal halves the time within which the next of its kind is stopped, so that on any machine
 * most are stopped, at points all through them.
 */
export async function abort({ createModel, loadStateDict }, options, { count, checkpoint }) {
  const random = numbers(1);
  const model = await createModel('resnet10t', options);
  const input = images(3, 64, 2);
  const expected = await model.forward(input);
  const stages = [
    (signal) =>
      createModel('resnet10t', { ...options, weights: checkpoint, signal }).then((loaded) => loaded.dispose()),
    (signal) => loadStateDict(checkpoint, { signal }),
    (signal) => model.forward(input, { signal }),
  ];
  const settled = async () => {
    if (!same(await model.forward(input), expected)) throw new Error('another result than before');
    return (await model.memory()).used;
  };
  const within = stages.map(() => 1000);
  const codes = {};
  const used = [];
  let longest = 0;
  for (let stopped = 0, round = 0; stopped < count; round++) {
    const stage = round % stages.length;
    const controller = new AbortController();
    let since;
    const stop = () => {
      since = performance.now();
      controller.abort();
    };
    const timer = setTimeout(stop, random() * within[stage]);
    const code = await stages[stage](controller.signal).then(
      () => 'done',
      (error) => error.code ?? String(error),
    );
    clearTimeout(timer);
    codes[code] = (codes[code] ?? 0) + 1;
    if (since !== undefined) longest = Math.max(longest, performance.now() - since);
    within[stage] *= code === 'done' ? 0.5 : 1.2;
    if (code === 'done') continue;
    if (++stopped === count >> 3 || stopped === count) used.push(await settled());
  }
  model.dispose();
  return { codes, longest, used };
}
