// wimm, from safetensors.
async function load({ address, places, model, shape, threads }) {
  const { createModel } = await import(places.wimm);
  const weights = address(`${model}.safetensors`);
  const loaded = await createModel(model, { weights, threads, worker: false, cache: false });
  return {
    forward: async (data) => (await loaded.forward({ data, shape })).data,
    profile: (data) => loaded.profile({ data, shape }),
    build: loaded.backend.variant,
    dispose: () => loaded.dispose(),
  };
}

export const wimm = { layout: 'nchw', load };
