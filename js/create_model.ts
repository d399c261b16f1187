// createModel: from a name to a model with its weights.

import { abortError, throwIfAborted } from './abort.js';
import { resolveModel, type ResolvedModel } from './catalogue/index.js';
import { settings } from './config.js';
import type { Engine, ModelSpec, WeightsFile } from './engine/engine.js';
import { loadEngine } from './engine/load.js';
import { WimmError } from './errors.js';
import { Model } from './model.js';
import { createModelChecks, invalidArgument, loadChecks, readOptions } from './options.js';
import type { CreateModelOptions, LoadOptions, Progress, StateTensor, Tensor, WeightsSource } from './types.js';
import { verifyDigest } from './weights/digest.js';
import { type LoadContext, openFirst, type OpenWeights } from './weights/download.js';
import { pretrainedAddresses } from './weights/hub.js';
import { openSource } from './weights/sources.js';
import { openStore } from './weights/store.js';

const defaultMaxBytes = 2 ** 32;
const defaultIdleTimeout = 60_000;

type CheckedLoadOptions = ReturnType<typeof readOptions<typeof loadChecks>>;
type CheckedOptions = ReturnType<typeof readOptions<typeof createModelChecks>>;

/** A load under way: it tells its progress, and stops when its caller's signal says so or its listener throws. */
class Load {
  readonly #stop = new AbortController();
  #failure: WimmError | undefined;

  constructor(readonly options: CheckedLoadOptions) {}

  readonly report = (stage: Progress['stage'], loaded: number, total: number, file: string): void => {
    if (this.#stop.signal.aborted) return;
    try {
      this.options.onProgress?.({ stage, loaded, total, file });
    } catch (cause) {
      this.#failure = invalidArgument('onProgress threw', cause);
      this.#stop.abort();
    }
  };

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async context(): Promise<LoadContext> {
    const {
      cache = settings.cache,
      fetch,
      maxBytes = defaultMaxBytes,
      idleTimeout = defaultIdleTimeout,
    } = this.options;
    return {
      store: await openStore(cache),
      fetch,
      signal: this.#stop.signal,
      maxBytes,
      idleTimeout,
      onProgress: (...progress) => this.report('download', ...progress),
    };
  }

  /** What `work` gives. A load that was stopped fails with the reason of that. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.options;
    throwIfAborted(signal);
    const stop = () => this.#stop.abort(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await work();
    } catch (error) {
      throw this.#failure ?? (signal?.aborted ? abortError(signal) : error);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Runs `use` on the opened file, once its digest is what the caller expects. */
  async use<T>(weights: OpenWeights, use: (file: WeightsFile) => Promise<T>): Promise<T> {
    const { integrity } = this.options;
    try {
      if (integrity) await verifyDigest(weights.file, integrity, weights.name);
      const result = await use(weights.file);
      await weights.release();
      return result;
    } catch (error) {
      await weights.release(error);
      throw error;
    }
  }
}

async function openWeights(
  model: ResolvedModel,
  options: CheckedOptions,
  load: Load,
): Promise<OpenWeights | undefined> {
  if (options.weights !== undefined) return openSource(options.weights, await load.context());
  if (!options.pretrained) return undefined;
  const addresses = pretrainedAddresses(model.cfg, options.hub ?? settings.hub);
  if (addresses.length === 0) {
    throw new WimmError(
      'ERR_NO_PRETRAINED',
      `${model.arch} has no pretrained weights; create it without pretrained, or pass weights`,
    );
  }
  return openFirst(addresses, await load.context());
}

async function compile(threads: number | undefined, load: Load): Promise<Engine> {
  load.report('compile', 0, 1, 'wimm');
  const engine = await loadEngine(threads);
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
    featuresOnly: options.featuresOnly ?? false,
    outIndices: options.outIndices ?? [],
    seed: options.seed ?? 0,
    strict: options.strict ?? true,
    resetClassifier: numClasses !== cfg.numClasses,
    labelOffset: cfg.labelOffset ?? 0,
    dtype: options.dtype ?? 'float32',
    exact: options.exact ?? false,
    pretrained: options.pretrained ?? false,
  };
}

/** Creates the model `name`, an `arch` or `arch.tag` of timm. */
export async function createModel(
  name: string,
  options: CreateModelOptions & { featuresOnly: true },
): Promise<Model<Tensor[]>>;
export async function createModel(name: string, options?: CreateModelOptions): Promise<Model>;
export async function createModel(name: string, options: CreateModelOptions = {}): Promise<unknown> {
  const chosen = readOptions('createModel', options, createModelChecks);
  const resolved = resolveModel(name);
  const spec = specOf(resolved, chosen);
  const load = new Load(chosen);
  return load.run(async () => {
    const compiling = compile(chosen.threads, load);
    compiling.catch(() => {}); // its failure is seen below, unless the download's comes first
    const weights = await openWeights(resolved, chosen, load);
    const engine = await compiling;
    const create = (file?: WeightsFile) =>
      engine.createModel({ ...spec, weights: file }, (loaded, total) => {
        load.report('load', loaded, total, weights?.name ?? '');
        return !load.stopped;
      });
    const facts = weights ? await load.use(weights, create) : await create();
    const { arch, tag, cfg } = resolved;
    return new Model({ ...spec, name: tag ? `${arch}.${tag}` : arch, pretrainedCfg: cfg }, engine, facts);
  });
}

/** The tensors of a weights file by name. */
export async function loadStateDict(
  source: WeightsSource,
  options: LoadOptions = {},
): Promise<Map<string, StateTensor>> {
  const load = new Load(readOptions('loadStateDict', options, loadChecks));
  return load.run(async () => {
    const weights = await openSource(source, await load.context());
    const engine = await loadEngine(1);
    return load.use(weights, (file) => engine.loadStateDict(file));
  });
}
