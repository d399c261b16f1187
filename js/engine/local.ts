// The engine of this thread: the WebAssembly module behind the interface of an engine.

import { WimmError } from '../errors.js';
import type { Picture } from '../images/picture.js';
import { readPixels } from '../images/read.js';
import type { Backend, StateTensor, Tensor } from '../types.js';
import type { Engine, ModelFacts, ModelSpec, OnLoad, PreprocessSpec, Run, WeightsFile, WeightsHead } from './engine.js';
import type { NativeError, NativeModel, NativeModule, NativeResult, NativeSource } from './native.js';
import { bytesOf, elementsOf } from './elements.js';

export class LocalEngine implements Engine {
  readonly #models = new Map<number, NativeModel>();
  #lastId = 0;
  #crash: WimmError | undefined;

  /** `onCrash` is called when the module can no longer be used. */
  constructor(
    readonly module: NativeModule,
    readonly backend: Backend,
    readonly onCrash: () => void,
  ) {}

  async createModel({ weights, ...spec }: ModelSpec, onLoad: OnLoad): Promise<ModelFacts> {
    const model = await this.#reading(weights, (source) =>
      this.#call(() => this.module.createModel(spec, source, this.backend.threads, onLoad)),
    );
    const id = ++this.#lastId;
    this.#models.set(id, model);
    const { parameters, ...facts } = model.facts();
    return { id, ...facts, parameters: new Map(parameters.map(({ name, ...info }) => [name, info])) };
  }

  async checkModel(spec: Omit<ModelSpec, 'weights'>, head?: WeightsHead): Promise<void> {
    this.#call(() => this.module.checkModel(spec, head && bytesSource(head.bytes, head.size)));
  }

  async run(model: number, method: Run, x: Tensor): Promise<Tensor[]> {
    return this.#call(() => this.#model(model).run(method, x.data, x.shape));
  }

  async profile(model: number, x: Tensor) {
    return this.#call(() => this.#model(model).profile(x.data, x.shape));
  }

  async memory(model: number) {
    return { ...this.module.memory(), ...this.#model(model).memory() };
  }

  async dispose(model: number): Promise<void> {
    const native = this.#models.get(model);
    this.#models.delete(model);
    if (!this.#crash) native?.delete();
  }

  async preprocess(picture: Picture, channels: number, spec: PreprocessSpec): Promise<Tensor> {
    const { data, shape } = await readPixels(picture, channels, (image) =>
      this.#call(() => this.module.preprocess(image, spec)),
    );
    return { data, shape: [1, ...shape] };
  }

  async loadStateDict(
    file: WeightsFile,
    key: string | undefined,
    checkFinite: boolean,
  ): Promise<Map<string, StateTensor>> {
    const tensors = await this.#reading(file, (source) =>
      this.#call(() => this.module.loadStateDict(source!, key, checkFinite)),
    );
    return new Map(
      tensors.map(({ name, dtype, shape, data }) => [name, { dtype, shape, data: elementsOf(dtype, data) }]),
    );
  }

  async adaptInputConv(weight: StateTensor, inChans: number): Promise<StateTensor> {
    const { dtype, shape } = weight;
    const adapted = this.#call(() => this.module.adaptInputConv({ dtype, shape, data: bytesOf(weight.data) }, inChans));
    return { dtype, shape: adapted.shape, data: elementsOf(dtype, adapted.data) };
  }

  #model(id: number): NativeModel {
    const model = this.#models.get(id);
    if (!model) throw new WimmError('ERR_DISPOSED', 'the model has been disposed of');
    return model;
  }

  /** What `call` gives. Errors of wimm are thrown; any other means that the module stopped half-way, and cannot go on. */
  #call<T>(call: () => NativeResult<T>): T {
    if (this.#crash) throw this.#crash;
    let result: NativeResult<T>;
    try {
      result = call();
    } catch (cause) {
      if (cause instanceof WimmError) throw cause;
      this.onCrash();
      const message = 'the WebAssembly module stopped; its models are lost, and new ones may be created';
      this.#crash = new WimmError('ERR_RUNTIME_CRASHED', message, { cause });
      throw this.#crash;
    }
    if ('error' in result) throw errorOf(result.error);
    return result.value;
  }

  /** Runs `use` on a weights file. An error of its reading comes before what is made of it. */
  async #reading<T>(file: WeightsFile | undefined, use: (source: NativeSource | undefined) => T): Promise<T> {
    if (file?.kind !== 'file') return use(file && bytesSource(file.bytes));
    const { openFile } = await import('../node/files.js');
    const source = openFile(file.path);
    try {
      return use(source);
    } finally {
      source.close();
    }
  }
}

/** Of a file of which only the first bytes are there, no more can be read. */
function bytesSource(bytes: Uint8Array, size = bytes.length): NativeSource {
  return {
    size,
    read: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}

function errorOf({ code, message, tensor, offset, missing, unexpected, mismatched }: NativeError): WimmError {
  const details = code === 'ERR_STATE_DICT_MISMATCH' ? { missing, unexpected, mismatched } : undefined;
  return new WimmError(code, message, { tensor, offset, details });
}
