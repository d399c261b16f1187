// The engine of this thread: the WebAssembly module behind the interface of an engine.

import { abortable } from '../abort.js';
import { WimmError } from '../errors.js';
import type { Picture } from '../images/picture.js';
import { readPixels } from '../images/read.js';
import type { Backend, StateTensor, Tensor } from '../types.js';
import { textOfSums } from '../weights/checksum.js';
import { ArrivingSource, bytesSource, type Source, wholeSource } from './arriving.js';
import type { Engine, ModelFacts, ModelSpec, OnLoad, PreprocessSpec, Run, WeightsFile, WeightsHead } from './engine.js';
import { bytesOf, elementsOf } from './elements.js';
import type { NativeError, NativeModel, NativeModule, NativeResult, NativeSums } from './native.js';
import { openOriginFile } from './origin_file.js';
import { type ArrivingFile, arrivingOf, streamOf } from './pieces.js';
import { forMilliseconds, runMeanwhile, runSlices } from './slices.js';

export class LocalEngine implements Engine {
  readonly readsAtOnce = true;
  readonly #models = new Map<number, NativeModel>();
  #lastId = 0;
  #crash: WimmError | undefined;

  /** `onCrash` is called when the module can no longer be used. */
  constructor(
    readonly module: NativeModule,
    readonly backend: Backend,
    readonly onCrash: () => void,
  ) {}

  async selfCheck(): Promise<boolean> {
    return this.#call(() => this.module.selfCheck(this.backend.threads));
  }

  async createModel({ weights, ...spec }: ModelSpec, onLoad: OnLoad, signal?: AbortSignal): Promise<ModelFacts> {
    const model = await this.#reading(weights, signal, async (source, whole) => {
      let progress: Parameters<OnLoad> | undefined;
      const onParameter: OnLoad = (...bytes) => (progress = bytes);
      const load = this.#call(() => this.module.loadModel(spec, source, this.backend.threads, onParameter));
      const advance = (milliseconds: number) => {
        const done = this.#call(() => load.advance(milliseconds, source?.received ?? 0));
        if (progress) onLoad(...progress);
        return done;
      };
      const warmUp = (milliseconds: number) => this.#call(() => load.warmUp(milliseconds));
      const receive = async (source: Source) => {
        const { begin, end } = load.wanted();
        source.drop(begin);
        if (source.received < end) await runMeanwhile(source.until(end), warmUp, signal);
      };
      try {
        await runSlices(advance, signal, source && (() => receive(source)));
        await whole();
        return this.#call(() => load.take());
      } finally {
        if (!this.#crash) load.delete();
      }
    });
    const id = ++this.#lastId;
    this.#models.set(id, model);
    const { parameters, ...facts } = model.facts();
    return { id, ...facts, parameters: new Map(parameters.map(({ name, ...info }) => [name, info])) };
  }

  async checkModel(spec: Omit<ModelSpec, 'weights'>, head?: WeightsHead): Promise<void> {
    this.#call(() => this.module.checkModel(spec, head && bytesSource(head.bytes, head.size)));
  }

  async run(id: number, method: Run, x: Tensor, signal?: AbortSignal): Promise<Tensor[]> {
    const model = await this.#compute(id, method, x, signal);
    return this.#call(() => model.results());
  }

  async profile(id: number, x: Tensor, signal?: AbortSignal) {
    const model = await this.#compute(id, 'forward', x, signal);
    return this.#call(() => model.layerProfile());
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
      this.#call(() => this.module.preprocess(image, { ...spec, channels })),
    );
    return { data, shape: [1, ...shape] };
  }

  async loadStateDict(
    file: WeightsFile,
    key: string | undefined,
    checkFinite: boolean,
    signal?: AbortSignal,
  ): Promise<Map<string, StateTensor>> {
    const tensors = new Map<string, StateTensor>();
    await this.#reading(file, signal, async (source, whole) => {
      await whole();
      const reader = this.#call(() => this.module.openStateDict(source!, key));
      const readNext = () => {
        const tensor = this.#call(() => reader.next(checkFinite));
        if (!tensor) return true;
        const { name, dtype, shape, data } = tensor;
        tensors.set(name, { dtype, shape, data: elementsOf(dtype, data) });
        return false;
      };
      try {
        await runSlices(forMilliseconds(readNext), signal);
      } finally {
        if (!this.#crash) reader.delete();
      }
    });
    return tensors;
  }

  async adaptInputConv(weight: StateTensor, inChans: number): Promise<StateTensor> {
    const { dtype, shape } = weight;
    const adapted = this.#call(() => this.module.adaptInputConv({ dtype, shape, data: bytesOf(weight.data) }, inChans));
    return { dtype, shape: adapted.shape, data: elementsOf(dtype, adapted.data) };
  }

  close(): void {
    this.#models.clear();
  }

  async #compute(id: number, method: Run, x: Tensor, signal: AbortSignal | undefined): Promise<NativeModel> {
    const model = this.#model(id);
    this.#call(() => model.start(method, x.data, x.shape));
    await runSlices((milliseconds) => this.#call(() => model.advance(milliseconds)), signal);
    return model;
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

  /** Runs `use` on a weights file that can be opened. An error of its reading comes before what is made of it. */
  async #reading<T>(
    file: WeightsFile | undefined,
    signal: AbortSignal | undefined,
    use: (source: Source | undefined, whole: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const whole = async () => {};
    if (!file) return use(undefined, whole);
    if (file.kind === 'bytes') return use(bytesSource(file.bytes), whole);
    if (file.kind === 'file') {
      const { openFile } = await import('../node/files.js');
      const opened = openFile(file.path);
      return use(wholeSource(opened), whole).finally(() => opened.close());
    }
    const opened = file.kind === 'blob' && file.handle && (await openOriginFile(file.handle, file.blob.size));
    if (!opened) return this.#receiving(arrivingOf(file), signal, use);
    const source = wholeSource(opened);
    const verified = async () => {
      if (file.checksum !== undefined) await this.#verify(source, file.checksum, signal);
    };
    return use(source, verified).finally(() => opened.close());
  }

  /** Errors: cache_corrupt. */
  async #verify(source: Source, checksum: string, signal: AbortSignal | undefined): Promise<void> {
    const sums = this.#call(() => this.module.openSums(source));
    let done = 0;
    const step = () => {
      done = Math.min(done + stepBytes, source.size);
      this.#call(() => sums.advance(done));
      return done === source.size;
    };
    try {
      await runSlices(forMilliseconds(step), signal);
      checkSums(sums, checksum);
    } finally {
      if (!this.#crash) sums.delete();
    }
  }

  /** The same, of a file that arrives. `whole` resolves once all of it is there, and is what was kept, by its checksum. */
  async #receiving<T>(
    { size, pieces, checksum }: ArrivingFile,
    signal: AbortSignal | undefined,
    use: (source: Source, whole: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const onReceived = (received: number) => void (sums && this.#call(() => sums.advance(received)));
    const source = new ArrivingSource(size, streamOf(pieces), onReceived);
    // In JavaScript it would take ten times as long, since an engine is slow to optimise it.
    const sums = checksum === undefined ? undefined : this.#call(() => this.module.openSums(source));
    const whole = async () => {
      await abortable(source.until(size), signal);
      if (sums) checkSums(sums, checksum!);
    };
    try {
      await abortable(source.untilOpen(), signal);
      return await use(source, whole);
    } finally {
      source.cancel();
      if (!this.#crash) sums?.delete();
    }
  }
}

/** Bytes that are added up in a millisecond. */
const stepBytes = 2 ** 22;

function checkSums(sums: NativeSums, checksum: string): void {
  if (checksum === textOfSums(...sums.sums())) return;
  throw new WimmError('ERR_CACHE_CORRUPT', 'what the cache holds is damaged');
}

function errorOf({ code, message, tensor, offset, missing, unexpected, mismatched }: NativeError): WimmError {
  const details = code === 'ERR_STATE_DICT_MISMATCH' ? { missing, unexpected, mismatched } : undefined;
  return new WimmError(code, message, { tensor, offset, details });
}
