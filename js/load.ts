// A load under way: its progress, and what stops it.

import { abortError, onAbort, throwIfAborted } from './abort.js';
import { settings } from './config.js';
import type { WeightsFile, WeightsHead } from './engine/engine.js';
import { invalidArgument, type loadChecks, type readOptions } from './options.js';
import type { Progress } from './types.js';
import { verifyDigest } from './weights/digest.js';
import type { LoadContext, OpenWeights } from './weights/download.js';

const defaultMaxBytes = 2 ** 32;
const defaultIdleTimeout = 60_000;

type LoadOptions = ReturnType<typeof readOptions<typeof loadChecks>>;

/** Tells its progress, and stops when its caller's signal says so or its listener throws. */
export class Load {
  /** Its reason is what the load fails with. */
  readonly #stop = new AbortController();

  /** `checkHead` rejects where the head of a file shows that the rest of it is of no use. */
  constructor(
    readonly options: LoadOptions,
    readonly checkHead: (head: WeightsHead) => Promise<void> = async () => {},
  ) {}

  readonly report = (stage: Progress['stage'], loaded: number, total: number, file: string): void => {
    if (this.signal.aborted) return;
    try {
      this.options.onProgress?.({ stage, loaded, total, file });
    } catch (cause) {
      this.fail(invalidArgument('onProgress threw', cause));
    }
  };

  /** Stops the load, which fails with `error`. */
  readonly fail = (error: unknown): void => this.#stop.abort(error);

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get context(): LoadContext {
    const {
      cache = settings.cache,
      fetch,
      maxBytes = defaultMaxBytes,
      idleTimeout = defaultIdleTimeout,
    } = this.options;
    return {
      cache,
      fetch,
      signal: this.signal,
      maxBytes,
      idleTimeout,
      onProgress: (...progress) => this.report('download', ...progress),
      onHead: (head) => void this.checkHead(head).catch(this.fail),
    };
  }

  /** What `work` gives. A load that was stopped fails with the reason of that. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.options;
    throwIfAborted(signal);
    const forget = onAbort(signal, () => this.fail(abortError(signal!)));
    try {
      return await work();
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error;
    } finally {
      forget();
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
