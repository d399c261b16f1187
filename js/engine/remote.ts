// An engine in a worker: calls and results as messages.

import { onAbort, throwIfAborted } from '../abort.js';
import { WimmError } from '../errors.js';
import { type Picture, transferOf, unreadable } from '../images/picture.js';
import type { Backend, LayerProfile, MemoryUse, StateTensor, Tensor } from '../types.js';
import type { Engine, ModelFacts, ModelSpec, OnLoad, PreprocessSpec, Run, WeightsFile, WeightsHead } from './engine.js';
import { noThreads, startTimeout } from './instantiate.js';
import { arrivingOf, sendPieces } from './pieces.js';
import { openWorker, type Port } from './port.js';
import type { Call, Reply } from './worker.js';

function cannotStart(cause: unknown): WimmError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new WimmError('ERR_WORKER_CRASHED', `a worker cannot start here${reason}`, { cause });
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: WimmError): void;
  onLoad: OnLoad | undefined;
}

interface CallOptions {
  transfer?: Transferable[];
  onLoad?: OnLoad;
  signal?: AbortSignal | undefined;
}

export class RemoteEngine implements Engine {
  readonly readsAtOnce = false;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #crash: WimmError | undefined;
  /** Whether the worker runs its script. */
  #alive = false;
  /** Called once it does. */
  #onAlive = () => {};

  private constructor(
    readonly backend: Backend,
    readonly port: Port,
    readonly onCrash: () => void,
  ) {
    port.hold(false);
    port.onReply((reply) => this.#receive(reply));
    port.onCrash((cause) => this.#crashed(cause));
  }

  #crashed(cause?: unknown): void {
    if (!this.#alive) {
      this.#fail(cannotStart(cause));
      return;
    }
    const message = 'the worker stopped; its models are lost, and new ones may be created';
    this.#fail(new WimmError('ERR_WORKER_CRASHED', message, { cause, retryable: true }));
  }

  /** Errors: worker_crashed where no worker starts, and those of loading WebAssembly. */
  static async start(backend: Backend, wasm: string | undefined, onCrash: () => void): Promise<RemoteEngine> {
    let port: Port;
    try {
      port = await openWorker();
    } catch (cause) {
      throw cannotStart(cause);
    }
    const engine = new RemoteEngine(backend, port, onCrash);
    const timer = setTimeout(() => engine.#fail(cannotStart(new Error('its script does not run'))), startTimeout);
    engine.#onAlive = () => clearTimeout(timer);
    try {
      await engine.#call('start', [backend, wasm, `wimm ${Math.random()}`]);
    } catch (error) {
      engine.#fail(error as WimmError);
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return engine;
  }

  /** Errors: env_no_threads where threads have started but do not work; who waits for them would wait for ever. */
  async selfCheck(): Promise<boolean> {
    const stuck = () => this.#fail(noThreads(new Error('they do not work')));
    const timer = this.backend.threads > 1 ? setTimeout(stuck, startTimeout) : undefined;
    try {
      return await this.#call('selfCheck', []);
    } finally {
      clearTimeout(timer);
    }
  }

  createModel({ weights, ...spec }: ModelSpec, onLoad: OnLoad, signal?: AbortSignal): Promise<ModelFacts> {
    return this.#sending(weights, (sent, transfer) =>
      this.#call('createModel', [{ ...spec, weights: sent }], { transfer, onLoad, signal }),
    );
  }

  /**
   * Calls with a file that may go to the worker. A blob is read in this thread, which has nothing else to do, unless the worker
   * can read it by a handle: it arrives while the worker is busy with what has come.
   */
  async #sending<T>(
    file: WeightsFile | undefined,
    call: (sent: WeightsFile | undefined, transfer: Transferable[]) => Promise<T>,
  ): Promise<T> {
    if (file?.kind !== 'arriving' && (file?.kind !== 'blob' || file.handle)) return call(file, []);
    const { port1, port2 } = new MessageChannel();
    const stop = new AbortController();
    const { pieces, ...rest } = arrivingOf(file);
    void sendPieces(pieces, port1, stop.signal);
    try {
      return await call({ ...rest, pieces: port2 }, [port2]);
    } finally {
      stop.abort();
    }
  }

  checkModel(spec: Omit<ModelSpec, 'weights'>, head?: WeightsHead): Promise<void> {
    return this.#call('checkModel', [spec, head]);
  }

  run(model: number, method: Run, x: Tensor, signal?: AbortSignal): Promise<Tensor[]> {
    return this.#call('run', [model, method, x], { transfer: [x.data.buffer as ArrayBuffer], signal });
  }

  profile(model: number, x: Tensor, signal?: AbortSignal): Promise<LayerProfile[]> {
    return this.#call('profile', [model, x], { transfer: [x.data.buffer as ArrayBuffer], signal });
  }

  memory(model: number): Promise<MemoryUse> {
    return this.#call('memory', [model]);
  }

  async dispose(model: number): Promise<void> {
    await this.#call('dispose', [model]).catch(() => {}); // a worker that stopped holds nothing
  }

  async preprocess(picture: Picture, channels: number, spec: PreprocessSpec): Promise<Tensor> {
    try {
      return await this.#call('preprocess', [picture, channels, spec], { transfer: transferOf(picture) });
    } catch (error) {
      const { cause } = error as WimmError;
      const isOfOtherOrigin = 'close' in picture && (cause as Error | undefined)?.name === 'DataCloneError';
      throw isOfOtherOrigin ? unreadable(cause) : error;
    }
  }

  loadStateDict(
    file: WeightsFile,
    key: string | undefined,
    checkFinite: boolean,
    signal?: AbortSignal,
  ): Promise<Map<string, StateTensor>> {
    return this.#sending(file, (sent, transfer) =>
      this.#call('loadStateDict', [sent, key, checkFinite], { transfer, signal }),
    );
  }

  adaptInputConv(weight: StateTensor, inChans: number): Promise<StateTensor> {
    return this.#call('adaptInputConv', [weight, inChans]);
  }

  close(): void {
    this.#fail(new WimmError('ERR_DISPOSED', 'the worker was closed'));
  }

  async #call<T>(
    method: Call['method'],
    parameters: unknown[],
    { transfer = [], onLoad, signal }: CallOptions = {},
  ): Promise<T> {
    if (this.#crash) throw this.#crash;
    throwIfAborted(signal);
    const id = ++this.#lastId;
    const result = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject, onLoad }));
    this.port.hold(true);
    try {
      this.port.post({ id, method, parameters }, transfer);
    } catch (cause) {
      this.#settle(id);
      throw new WimmError('ERR_OUT_OF_MEMORY', 'the data could not be handed to the worker', { cause });
    }
    const forget = onAbort(signal, () => this.port.post({ id, stop: true }, []));
    try {
      return (await result) as T;
    } finally {
      forget();
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.port.hold(false);
    return pending;
  }

  #receive(reply: Reply): void {
    if ('alive' in reply) {
      this.#alive = true;
      this.#onAlive();
      return;
    }
    if ('lock' in reply) {
      const ended = () => this.#crashed(new Error('it ended'));
      navigator.locks.request(reply.lock, ended).catch(() => {}); // granted when the worker ends, of which nothing else tells
      return;
    }
    if ('progress' in reply) {
      this.#pending.get(reply.id)?.onLoad?.(...reply.progress);
      return;
    }
    const pending = this.#settle(reply.id);
    if ('value' in reply) {
      pending?.resolve(reply.value);
      return;
    }
    const error = WimmError.from(reply.error);
    if (error.code === 'ERR_RUNTIME_CRASHED') this.#fail(error);
    pending?.reject(error);
  }

  /** Nothing more comes of the worker. */
  #fail(error: WimmError): void {
    if (this.#crash) return;
    this.#crash = error;
    this.onCrash();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.port.hold(false);
    this.port.close();
  }
}
