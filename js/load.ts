// A load under way: its progress, and what stops it.

import { abortable, abortError, onAbort, throwIfAborted } from './abort.js';
import { settings } from './config.js';
import type { WeightsFile, WeightsHead, WholeFile } from './engine/engine.js';
import { invalidArgument, type loadChecks, type readOptions } from './options.js';
import type { Progress } from './types.js';
import { checksumOfBlob } from './weights/checksum.js';
import { verifyDigest } from './weights/digest.js';
import type { LoadContext, OpenWeights } from './weights/download.js';

const defaultMaxBytes = 2 ** 32;
const defaultIdleTimeout = 60_000;

type LoadOptions = ReturnType<typeof readOptions<typeof loadChecks>>;

/** Tells its progress, and stops when its caller's signal says so or its listener throws. */
export class Load {
  /** Its reason is what the load fails with. */
  readonly #stop = new AbortController();
  #downloading = false;

  /** `check` rejects where a file is of no use, whatever it holds, or where its head shows that the rest of it is not. */
  constructor(
    readonly options: LoadOptions,
    readonly check: (head?: WeightsHead) => Promise<void> = async () => {},
  ) {}

  readonly report = (stage: Progress['stage'], loaded: number, total: number, file: string): void => {
    if (this.signal.aborted) return;
    if (stage === 'download') this.#downloading = loaded < total;
    else if (stage === 'load' && this.#downloading) return; // it is the download that is waited for
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

  #context(fresh: boolean): LoadContext {
    const {
      cache = settings.cache,
      fetch,
      maxBytes = defaultMaxBytes,
      idleTimeout = defaultIdleTimeout,
    } = this.options;
    return {
      cache,
      fresh,
      fetch,
      signal: this.signal,
      maxBytes,
      idleTimeout,
      onProgress: (...progress) => this.report('download', ...progress),
      onStart: () => void this.check().catch(this.fail),
      onHead: (head) => void this.check(head).catch(this.fail),
      arriving: !this.options.integrity,
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

  /**
   * Runs `use` on the file that `open` gives, once its digest is what the caller expects. Where it fails and the file is of
   * the cache, and damaged, all begins anew without the cache.
   */
  async use<T>(
    open: (context: LoadContext) => Promise<OpenWeights>,
    use: (file: WeightsFile, name: string) => Promise<T>,
    fresh = false,
  ): Promise<T> {
    const { integrity } = this.options;
    const { file, received, discard, name, release } = await open(this.#context(fresh));
    let using = true;
    received?.catch((error: unknown) => using && this.fail(error));
    try {
      if (integrity) await verifyDigest(file as WholeFile, integrity, name); // it was asked not to arrive
      const result = await use(file, name);
      await received;
      await release();
      return result;
    } catch (error) {
      using = false;
      const damaged =
        discard && !this.signal.aborted && (await abortable(isDamaged(file), this.signal).catch(() => false));
      if (damaged) await discard(error);
      await release(error);
      if (damaged) return this.use(open, use, true);
      throw error;
    }
  }
}

/** Whether what the cache holds is not what was kept there. */
async function isDamaged(file: WeightsFile): Promise<boolean> {
  if (file.kind !== 'blob' || file.checksum === undefined) return false;
  return file.checksum !== (await checksumOfBlob(file.blob).catch(() => undefined));
}
