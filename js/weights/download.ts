// Downloads of weights files through a store. Two loads of one address at once share one download.

import { abortable } from '../abort.js';
import type { WeightsFile, WeightsHead } from '../engine/engine.js';
import type { ArrivingFile } from '../engine/pieces.js';
import { WimmError } from '../errors.js';
import { invalidArgument } from '../options.js';
import type { Fetch, WeightsCache } from '../types.js';
import { type FetchedFile, fetchFile, type FileRequest } from './fetch_file.js';
import { type ReceiveOptions, redact } from './receive.js';
import { openStore, type StoredFile } from './store.js';

export interface LoadContext {
  cache: boolean | WeightsCache;
  /** Whether what the cache has is of no use. */
  fresh: boolean;
  /** Undefined: the global one. */
  fetch: Fetch | undefined;
  signal: AbortSignal | undefined;
  maxBytes: number;
  idleTimeout: number;
  /** Called before a file is fetched. */
  onStart: () => void;
  onProgress: (loaded: number, total: number, file: string) => void;
  /** Called with the head of a file that is downloaded, where it has one. */
  onHead: (head: WeightsHead) => void;
  /** Whether the file may be used while it arrives. */
  arriving: boolean;
}

/** A weights file in use. */
export interface OpenWeights extends Omit<StoredFile, 'file'> {
  file: WeightsFile;
  /** Of a file that arrives: resolves once all of it is there. */
  received?: Promise<unknown>;
  /** For messages. */
  name: string;
  /** To be called at the end with what went wrong, if anything: a download that proved good is kept in its store. */
  release(error?: unknown): Promise<void>;
}

const maxAddressLength = 8192;

/** Throws invalid_argument for what cannot be fetched. */
export function checkAddress(url: URL): void {
  if (url.username || url.password)
    throw invalidArgument(`${redact(url)}: credentials in an address are not supported; pass a fetch that sends them`);
  if (url.protocol !== 'data:' && url.href.length > maxAddressLength)
    throw invalidArgument(`an address may have ${maxAddressLength} characters`);
  if (!['http:', 'https:', 'blob:', 'data:'].includes(url.protocol))
    throw invalidArgument(`${redact(url)} is not an http or https address`);
}

/** Of a file, and whether its content is good although a load failed. */
function isGood(error: unknown): boolean {
  return error === undefined || (error instanceof WimmError && error.code === 'ERR_STATE_DICT_MISMATCH');
}

/** A download, and those who wait for it or use its file. It stops when the last of them has gone. */
class Download {
  readonly name: string;
  readonly #received: Promise<FetchedFile>;
  /** For the first who joins; undefined where the file is there, or cannot be read while it arrives. */
  #arriving: Promise<ArrivingFile | undefined> | undefined;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<Pick<LoadContext, 'onStart' | 'onProgress' | 'onHead'>>();
  #started = false;
  #head: WeightsHead | undefined;
  #progress: [loaded: number, total: number] | undefined;
  #good = false;
  #unlock: (() => void) | undefined;

  constructor(
    request: FileRequest,
    { maxBytes, idleTimeout, arriving }: LoadContext,
    readonly onEnd: () => void,
  ) {
    this.name = redact(request.url);
    const onStart = () => {
      this.#started = true;
      for (const listener of this.#listeners) listener.onStart();
    };
    const onProgress = (...progress: [loaded: number, total: number]) => {
      this.#progress = progress;
      for (const listener of this.#listeners) listener.onProgress(...progress, this.name);
    };
    const onHead = (head: WeightsHead) => {
      this.#head = head;
      for (const listener of this.#listeners) listener.onHead(head);
    };
    const { signal } = this.#stop;
    let onArriving: ReceiveOptions['onArriving'];
    const begun = arriving && new Promise<ArrivingFile>((resolve) => (onArriving = resolve));
    const options = { name: this.name, maxBytes, idleTimeout, onStart, onProgress, onHead, onArriving, signal };
    this.#received = this.#fetch(request, options);
    this.#received.catch(onEnd);
    const there = () => undefined;
    if (begun) this.#arriving = Promise.race([begun, this.#received.then(there, there)]);
  }

  async #fetch(request: FileRequest, options: ReceiveOptions): Promise<FetchedFile> {
    this.#unlock = await request.store.lock?.(request.url, options.signal);
    const fetched = await fetchFile(request, options);
    if (!fetched.draft) this.#unlock?.();
    return fetched;
  }

  async join(context: LoadContext): Promise<OpenWeights> {
    const { signal, onStart, onProgress, onHead } = context;
    const listener = { onStart, onProgress, onHead };
    this.#listeners.add(listener);
    if (this.#started) onStart();
    if (this.#head) onHead(this.#head);
    if (this.#progress) onProgress(...this.#progress, this.name);
    const release = async (error?: unknown) => {
      if (!this.#listeners.delete(listener)) return;
      this.#good ||= isGood(error);
      if (this.#listeners.size === 0) await this.#end();
    };
    const arriving = context.arriving ? this.#arriving : undefined;
    this.#arriving = undefined;
    try {
      const begun = arriving && (await abortable(arriving, signal));
      if (begun) return { file: begun, received: this.#received, name: this.name, release };
      const { file, discard } = await abortable(this.#received, signal);
      return { file, ...(discard && { discard }), name: this.name, release };
    } catch (error) {
      await release(error);
      throw error;
    }
  }

  async #end(): Promise<void> {
    this.onEnd();
    this.#stop.abort(new WimmError('ERR_ABORTED', `nobody waits for ${this.name}`));
    const kept = this.#keep();
    if (!this.#unlock) await kept; // with a lock, it is for the next one to wait
  }

  async #keep(): Promise<void> {
    const received = await this.#received.catch(() => undefined);
    if (this.#good) await received?.draft?.keep(received.validator);
    await received?.draft?.drop();
    this.#unlock?.();
  }
}

const downloads = new Map<string, Download>();

/** The file of `request`: what the store has of it, or what its server has. */
async function open(request: FileRequest, context: LoadContext): Promise<OpenWeights> {
  // A fetch or a cache of the caller's own may give something else, and what arrives is nobody else's where it is not kept.
  const { fetch, cache, fresh, arriving } = context;
  const key =
    !fetch && typeof cache === 'boolean' && (cache || !arriving) ? `${cache} ${fresh} ${request.url}` : undefined;
  const shared = key && downloads.get(key);
  if (shared) return shared.join(context);
  const download = new Download(request, context, () => {
    if (key && downloads.get(key) === download) downloads.delete(key);
  });
  if (key) downloads.set(key, download);
  return download.join(context);
}

/** The first of `addresses` that the store has, or else the first that a server has. */
export async function openFirst(addresses: string[], context: LoadContext): Promise<OpenWeights> {
  const { cache, fresh, fetch, signal } = context;
  const store = await openStore(cache);
  for (const url of addresses) {
    if (!fresh && (await abortable(store.match(url), signal))) return open({ url, store, fetch, fresh }, context);
  }
  let absent: unknown;
  for (const url of addresses) {
    try {
      return await open({ url, store, fetch, fresh }, context);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      absent ??= error;
    }
  }
  throw absent;
}

/** A hub answers 401 for a repository that it does not have, 404 for a file. */
function isAbsent(error: unknown): boolean {
  const status = error instanceof WimmError && error.code === 'ERR_HTTP_STATUS' ? error.details?.status : undefined;
  return status === 401 || status === 404 || status === 410;
}
