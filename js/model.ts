// A model: what `createModel` gives.

import { abortable, abortError, onAbort } from './abort.js';
import type { PretrainedCfg } from './catalogue/index.js';
import type { Engine, ModelFacts, PreprocessSpec, Run } from './engine/engine.js';
import { WimmError } from './errors.js';
import { capture } from './images/capture.js';
import { release } from './images/picture.js';
import { boolean, callChecks, check, integer, readOptions } from './options.js';
import { copyTensor, readTensor } from './tensors.js';
import type {
  Backend,
  CallOptions,
  Classification,
  FeatureLevel,
  ImageSource,
  LayerProfile,
  LoadReport,
  MemoryUse,
  ParameterInfo,
  Tensor,
} from './types.js';

/** What a model was made with. @internal */
export interface ModelSetup {
  name: string;
  pretrainedCfg: PretrainedCfg;
  inChans: number;
  numClasses: number;
  featuresOnly: boolean;
  imageSize: [number, number];
}

let warned = false;

/** Frees models that nobody disposed of. */
const forgotten = new FinalizationRegistry<() => void>((free) => {
  if (!warned) console.warn('wimm: a model was not disposed of; call model.dispose() to free its memory in time');
  warned = true;
  free();
});

/**
 * A model with its weights: what `createModel` gives. Calls run one after the other, in order. `Output` is a list with
 * `featuresOnly`.
 *
 * Errors of every call: `ERR_ABORTED`; `ERR_DISPOSED`; `ERR_INVALID_ARGUMENT` for options; `ERR_OUT_OF_MEMORY`, after
 * which smaller inputs still work; `ERR_WORKER_CRASHED` or `ERR_RUNTIME_CRASHED`, after which the model has to be created
 * again. Those with a tensor or images: `ERR_INPUT_SHAPE`, `ERR_INPUT_DTYPE`, `ERR_INPUT_DETACHED`. Inputs are copied.
 */
export class Model<Output extends Tensor | Tensor[] = Tensor> {
  /** `arch`, or `arch.tag` where the cfg has one. */
  readonly name: string;
  /** timm's cfg of `name`, whatever the options have changed. */
  readonly pretrainedCfg: PretrainedCfg;
  /** Channels of the input. */
  readonly inChans: number;
  /** Logits of an image; 0 where there is no classifier. */
  readonly numClasses: number;
  /** Channels of the pooled features. */
  readonly numFeatures: number;
  /** The levels that `featuresOnly` gives. */
  readonly featureInfo: FeatureLevel[];
  /** What did not fit in a load that was not strict. */
  readonly loadReport: LoadReport;
  /** The build that runs the model. */
  readonly backend: Backend;

  readonly #engine: Engine;
  readonly #id: number;
  readonly #parameters: Map<string, ParameterInfo>;
  readonly #featuresOnly: boolean;
  readonly #preprocess: PreprocessSpec;
  #last: Promise<unknown> = Promise.resolve();
  /** Not yet ended. */
  readonly #calls = new Set<AbortController>();
  #disposed = false;

  /** @internal */
  constructor(setup: ModelSetup, engine: Engine, facts: ModelFacts) {
    const { name, pretrainedCfg, inChans, numClasses, featuresOnly, imageSize } = setup;
    this.name = name;
    this.pretrainedCfg = pretrainedCfg;
    this.inChans = inChans;
    this.numClasses = numClasses;
    this.numFeatures = facts.numFeatures;
    this.featureInfo = facts.featureInfo;
    this.loadReport = facts.loadReport;
    this.backend = engine.backend;
    this.#engine = engine;
    this.#id = facts.id;
    this.#parameters = facts.parameters;
    this.#featuresOnly = featuresOnly;
    const { cropPct, cropMode, interpolation, mean, std } = pretrainedCfg;
    const [height, width] = imageSize;
    this.#preprocess = { height, width, cropPct, cropMode, interpolation, mean, std };
    forgotten.register(this, () => void engine.dispose(facts.id), this);
  }

  /**
   * Images [N, C, H, W], resized and normalised as `preprocess` does → logits [N, numClasses], or the feature maps of
   * `outIndices`, each [N, C, H, W]. Without a classifier → pooled features [N, numFeatures], and without a pool either,
   * what `forwardFeatures` gives.
   */
  async forward(x: Tensor, options: CallOptions = {}): Promise<Output> {
    const { signal } = readOptions('forward', options, callChecks);
    if (this.#featuresOnly) return (await this.#run('forward', 'forwardIntermediates', x, signal)) as Output;
    return (await this.#runOne('forward', 'forward', x, signal)) as Output;
  }

  /**
   * Images [N, C, H, W] → the last feature map [N, C, H, W], or a transformer's tokens [N, L, C], before pooling. Errors:
   * `ERR_INVALID_ARGUMENT` for CrossViT, which has two of them.
   */
  async forwardFeatures(x: Tensor, options: CallOptions = {}): Promise<Tensor> {
    const { signal } = readOptions('forwardFeatures', options, callChecks);
    return this.#runOne('forwardFeatures', 'forwardFeatures', x, signal);
  }

  /** What `forwardFeatures` gave → logits [N, numClasses], or with `preLogits` the pooled features [N, numFeatures]. */
  async forwardHead(x: Tensor, options: CallOptions & { preLogits?: boolean } = {}): Promise<Tensor> {
    const { preLogits, signal } = readOptions('forwardHead', options, { ...callChecks, preLogits: boolean });
    return this.#runOne('forwardHead', preLogits ? 'preLogits' : 'forwardHead', x, signal);
  }

  /**
   * The most probable classes of an image, the most probable first.
   *
   * Errors: those of `ImageSource`; `ERR_INVALID_ARGUMENT` where the model has no classifier.
   *
   * @param options `topK`: how many, 1 to `numClasses`. Default 5.
   */
  async classify(image: ImageSource, options?: CallOptions & { topK?: number }): Promise<Classification[]>;
  /** The most probable classes of each of several images, which are read one after the other. */
  async classify(images: ImageSource[], options?: CallOptions & { topK?: number }): Promise<Classification[][]>;
  async classify(image: ImageSource | ImageSource[], options: CallOptions & { topK?: number } = {}) {
    this.#checkAlive();
    if (this.#featuresOnly || this.numClasses === 0) {
      throw new WimmError('ERR_INVALID_ARGUMENT', 'classify: the model has no classifier');
    }
    const { topK = Math.min(5, this.numClasses), signal } = readOptions('classify', options, {
      ...callChecks,
      topK: integer(1, this.numClasses),
    });
    if (Array.isArray(image)) return this.#inTurn(image, (each) => this.#classify(each, topK, signal));
    return this.#classify(image, topK, signal);
  }

  /** Pooled features [N, numFeatures], a row an image. Errors: those of `ImageSource`. */
  async embed(image: ImageSource | ImageSource[], options: CallOptions = {}): Promise<Tensor> {
    const { signal } = readOptions('embed', options, callChecks);
    const rows = await this.#inTurn([image].flat(), async (each) =>
      this.#runOne('embed', 'embed', await this.#prepare(each, signal), signal),
    );
    return stack(rows);
  }

  /**
   * The cfg's evaluation transform: an image, or several, resized, cropped and normalised to [N, C, H, W]. Errors: those
   * of `ImageSource`.
   */
  async preprocess(image: ImageSource | ImageSource[], options: CallOptions = {}): Promise<Tensor> {
    const { signal } = readOptions('preprocess', options, callChecks);
    return stack(await this.#inTurn([image].flat(), (each) => this.#prepare(each, signal)));
  }

  /** timm's names of parameters and buffers, with their types and shapes. */
  parameters(): Map<string, ParameterInfo> {
    this.#checkAlive();
    return structuredClone(this.#parameters);
  }

  /** The time of each layer on images [N, C, H, W]. */
  async profile(x: Tensor, options: CallOptions = {}): Promise<LayerProfile[]> {
    const { signal } = readOptions('profile', options, callChecks);
    const compute = (input: Tensor, stopped: AbortSignal) => this.#engine.profile(this.#id, input, stopped);
    return this.#compute('profile', x, compute, signal);
  }

  /** Memory in use, in bytes. */
  async memory(): Promise<MemoryUse> {
    return this.#queue(() => this.#engine.memory(this.#id));
  }

  /** Frees the model's memory. Calls under way are stopped: they reject with `ERR_DISPOSED`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    const free = () => void this.#engine.dispose(this.#id);
    if (this.#isIdle) free();
    else void this.#last.then(free, free);
    for (const call of this.#calls) call.abort(this.#disposedError());
  }

  /** `dispose`, at the end of the block that says `using model = …`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #disposedError(): WimmError {
    return new WimmError('ERR_DISPOSED', `the model ${this.name} has been disposed of`);
  }

  #checkAlive(): void {
    if (this.#disposed) throw this.#disposedError();
  }

  get #isIdle(): boolean {
    return this.#calls.size === 0;
  }

  /**
   * Runs `work` after all calls before it, at once where there are none. Once the signal is aborted or the model disposed of, so
   * is its own.
   */
  async #queue<T>(work: (stopped: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#checkAlive();
    const call = new AbortController();
    const forget = onAbort(signal, () => call.abort(abortError(signal!)));
    const run = async () => {
      call.signal.throwIfAborted();
      return work(call.signal);
    };
    const ended = () => {
      forget();
      this.#calls.delete(call);
    };
    const result = this.#isIdle ? run() : this.#last.then(run, run);
    this.#calls.add(call);
    this.#last = result;
    result.then(ended, ended);
    return abortable(result, call.signal);
  }

  async #run(call: string, method: Run, x: Tensor, signal: AbortSignal | undefined): Promise<Tensor[]> {
    const compute = (input: Tensor, stopped: AbortSignal) => this.#engine.run(this.#id, method, input, stopped);
    return this.#compute(call, x, compute, signal);
  }

  /** `x` is copied, unless it is read before its owner can change it. */
  async #compute<T>(
    call: string,
    x: Tensor,
    compute: (input: Tensor, stopped: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    this.#checkAlive();
    const given = readTensor(call, x);
    const input = this.#isIdle && this.#engine.readsAtOnce ? given : copyTensor(given);
    return this.#queue((stopped) => compute(input, stopped), signal);
  }

  async #runOne(call: string, method: Run, x: Tensor, signal: AbortSignal | undefined): Promise<Tensor> {
    const [output] = await this.#run(call, method, x, signal);
    return output;
  }

  /** An image as a tensor [1, C, H, W]. */
  async #prepare(image: ImageSource, signal: AbortSignal | undefined): Promise<Tensor> {
    this.#checkAlive();
    const picture = await abortable(capture(image), signal, release);
    try {
      return await this.#queue(() => this.#engine.preprocess(picture, this.inChans, this.#preprocess), signal);
    } finally {
      release(picture);
    }
  }

  async #classify(image: ImageSource, topK: number, signal: AbortSignal | undefined): Promise<Classification[]> {
    const labels = this.#labels();
    labels.catch(() => {}); // where the image, or the model, has its own error
    const { data } = await this.#runOne('classify', 'forward', await this.#prepare(image, signal), signal);
    const probabilities = softmax(data);
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    const names = await labels;
    return order.slice(0, topK).map((index) => ({ index, label: names?.[index], probability: probabilities[index] }));
  }

  async #labels(): Promise<readonly string[] | undefined> {
    if (this.numClasses !== 1000 || this.pretrainedCfg.numClasses !== 1000) return undefined;
    return (await import('./catalogue/imagenet-labels.js')).imagenetLabels;
  }

  /** One after the other, so that memory is needed for one only. */
  async #inTurn<T, U>(items: T[], work: (item: T) => Promise<U>): Promise<U[]> {
    check('images', items.length, integer(1, 65_536));
    const results: U[] = [];
    for (const item of items) results.push(await work(item));
    return results;
  }
}

function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

/** Tensors [1, …] of one shape as one [N, …]. */
function stack(tensors: Tensor[]): Tensor {
  if (tensors.length === 1) return tensors[0];
  const { length } = tensors[0].data;
  const data = new Float32Array(length * tensors.length);
  tensors.forEach((tensor, i) => data.set(tensor.data, i * length));
  return { data, shape: [tensors.length, ...tensors[0].shape.slice(1)] };
}
