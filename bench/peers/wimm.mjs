// wimm, from safetensors.
async function load({ address, places, model, shape, threads, task }, dtype) {
  const { createModel } = await import(places.wimm);
  const weights = address(`${model}.safetensors`);
  // A first result is that of a page which leaves all to wimm: a worker, and a cache.
  const here = task === 'first' ? {} : { worker: false, cache: false };
  const loaded = await createModel(model, { weights, dtype, threads, ...here });
  return {
    forward: async (data) => (await loaded.forward({ data, shape })).data,
    profile: (data) => loaded.profile({ data, shape }),
    build: loaded.backend.variant,
    dispose: () => loaded.dispose(),
  };
}

export const wimm = { layout: 'nchw', load };
export const wimmInt8 = { layout: 'nchw', load: (job) => load(job, 'int8'), tolerance: 0.1 };
