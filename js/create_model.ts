// createModel: from a name to a model with its weights.

import { abortable } from './abort.js';
import { resolveModel, type ResolvedModel } from './catalogue/index.js';
import { settings } from './config.js';
import type { Engine, ModelSpec, WeightsFile } from './engine/engine.js';
import { loadEngine } from './engine/load.js';
import { WimmError } from './errors.js';
import { Load } from './load.js';
import { Model } from './model.js';
import { createModelChecks, readOptions } from './options.js';
import type { CreateModelOptions, Tensor } from './types.js';
import { type LoadContext, openFirst, type OpenWeights } from './weights/download.js';
import { pretrainedAddresses } from './weights/hub.js';
import { openSource } from './weights/sources.js';

type CheckedOptions = ReturnType<typeof readOptions<typeof createModelChecks>>;

/** What opens the weights, if there are any. */
function openerOf(
  model: ResolvedModel,
  { weights, pretrained, hub = settings.hub }: CheckedOptions,
): ((context: LoadContext) => Promise<OpenWeights>) | undefined {
  if (weights !== undefined) return (context) => openSource(weights, context);
  if (!pretrained) return undefined;
  const addresses = pretrainedAddresses(model.cfg, hub);
  if (addresses.length === 0) {
    throw new WimmError(
      'ERR_NO_PRETRAINED',
      `${model.arch} has no pretrained weights; create it without pretrained, or pass weights`,
    );
  }
  return (context) => openFirst(addresses, context);
}

async function compile(options: CheckedOptions, load: Load): Promise<Engine> {
  load.report('compile', 0, 1, 'wimm');
  const engine = await loadEngine(options);
  load.report('compile', 1, 1, engine.backend.variant);
  return engine;
}

function specOf({ arch, cfg }: ResolvedModel, options: CheckedOptions): Omit<ModelSpec, 'weights'> {
  const { numClasses = cfg.numClasses } = options;
  return {
    architecture: arch,
    inChans: options.inChans ?? 3,
    numClasses,
    globalPool: options.globalPool,
    imgSize: options.imgSize,
    imageSize: options.imgSize ?? (cfg.inputSize.slice(1) as [number, number]),
    featuresOnly: options.featuresOnly ?? false,
    outIndices: options.outIndices ?? [],
    seed: options.seed ?? 0,
    strict: options.strict ?? true,
    key: options.key,
    checkFinite: options.checkFinite ?? false,
    resetClassifier: numClasses !== cfg.numClasses,
    labelOffset: cfg.labelOffset ?? 0,
    dtype: options.dtype ?? 'float32',
    exact: options.exact ?? false,
    pretrained: options.pretrained ?? false,
  };
}

/**
 * Creates the model `name` for feature maps.
 *
 * @param name an `arch` or `arch.tag` of timm, or an older name.
 */
export async function createModel(
  name: string,
  options: CreateModelOptions & { featuresOnly: true },
): Promise<Model<Tensor[]>>;
/**
 * Creates the model `name`, with timm's weights, weights of your own or random ones.
 *
 * Errors: `ERR_UNKNOWN_MODEL`, `ERR_NO_PRETRAINED`, `ERR_INVALID_ARGUMENT`; of weights `ERR_FORMAT_UNKNOWN`,
 * `ERR_FORMAT_TRUNCATED`, `ERR_FORMAT_CORRUPT`, `ERR_FORMAT_UNSUPPORTED`, `ERR_PICKLE_FORBIDDEN`, `ERR_LIMIT_EXCEEDED`,
 * `ERR_INTEGRITY`, `ERR_STATE_DICT_MISMATCH`, `ERR_WEIGHTS_NONFINITE`; of downloads `ERR_HTTP_STATUS`, `ERR_NETWORK`,
 * `ERR_TIMEOUT`; `ERR_ABORTED`; of the machine `ERR_OUT_OF_MEMORY`, `ERR_WASM_LOAD`, `ERR_CSP`, `ERR_ENV_NO_WASM`,
 * `ERR_ENV_NO_SIMD`, `ERR_ENV_NO_THREADS`, `ERR_WORKER_CRASHED`, `ERR_RUNTIME_CRASHED`.
 *
 * @param name an `arch` or `arch.tag` of timm, or an older name.
 */
export async function createModel(name: string, options?: CreateModelOptions): Promise<Model>;
export async function createModel(name: string, options: CreateModelOptions = {}): Promise<unknown> {
  const chosen = readOptions('createModel', options, createModelChecks);
  const resolved = resolveModel(name);
  const spec = specOf(resolved, chosen);
  let compiling: Promise<Engine>;
  const load = new Load(chosen, async (head) => (await compiling).checkModel(spec, head));
  return load.run(async () => {
    compiling = compile(chosen, load);
    compiling.catch(load.fail);
    const open = openerOf(resolved, chosen);
    const create = async (file?: WeightsFile, source = '') => {
      const engine = await abortable(compiling, load.signal);
      const onLoad = (loaded: number, total: number) => load.report('load', loaded, total, source);
      const loading = engine.createModel({ ...spec, weights: file }, onLoad, load.signal);
      const facts = await abortable(loading, load.signal, ({ id }) => void engine.dispose(id));
      const { arch, tag, cfg } = resolved;
      return new Model({ ...spec, name: tag ? `${arch}.${tag}` : arch, pretrainedCfg: cfg }, engine, facts);
    };
    return open ? load.use(open, create) : create();
  });
}
