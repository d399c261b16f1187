// Where downloads go: a draft that takes the bytes, and a store that keeps those that proved good.

import type { WholeFile } from '../engine/engine.js';
import type { ArrivingFile } from '../engine/pieces.js';
import { WimmError } from '../errors.js';
import { isNode } from '../platform.js';
import type { WeightsCache } from '../types.js';
import { Checksum, checksumOf } from './checksum.js';
import { OriginStore } from './origin_store.js';
import { SharedWebStore, WebStore } from './web_store.js';

/** A download under way. */
export interface Draft {
  write(chunk: Uint8Array): Promise<void>;
  /** The file for one who reads it while it is written; call it before the first byte. */
  arriving?(size: number): ArrivingFile;
  /** Call it once, after the last byte. */
  file(): WholeFile;
  /** Makes it an entry of the store, with what its server names the content by, if anything. */
  keep(validator: string | undefined): Promise<void>;
  /** Frees what it holds, unless it was kept. */
  drop(): Promise<void>;
}

/** A file that a store has. Its server can be asked whether it is current where there is a validator. */
export interface Entry {
  /** An ETag, or else a date. */
  validator?: string | undefined;
  /** The file, or undefined where it is damaged or gone. */
  open(): Promise<StoredFile | undefined>;
}

export interface StoredFile {
  /** With a checksum where it is for its reader to find out whether it is what was kept. */
  file: WholeFile;
  /** Where it is not: the store has it no more. */
  discard?: (cause: unknown) => Promise<void>;
}

export interface Store {
  /** The entry of `url`, if it is there. */
  match(url: string): Promise<Entry | undefined>;
  draft(url: string, size: number): Promise<Draft>;
  /** Waits until no other tab downloads `url`. Gives what lets the next one on. */
  lock?(url: string, signal: AbortSignal): Promise<() => void>;
}

const maxReservedBytes = 256 * 2 ** 20; // on a server's word

/** A download in memory. It grows by doubling where its size is not known. */
export class MemoryDraft implements Draft {
  #bytes: Uint8Array;
  #length = 0;

  constructor(size = 0) {
    this.#bytes = new Uint8Array(Math.min(size, maxReservedBytes));
  }

  async write(chunk: Uint8Array): Promise<void> {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) this.#grow(Math.max(length, 2 * this.#length));
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  #grow(size: number): void {
    let grown: Uint8Array;
    try {
      grown = new Uint8Array(size);
    } catch (cause) {
      throw new WimmError('ERR_OUT_OF_MEMORY', `there is no memory for a file of ${size} bytes`, { cause });
    }
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  file(): WholeFile & { kind: 'bytes' } {
    return { kind: 'bytes', bytes: this.#bytes.subarray(0, this.#length) };
  }

  checksum(): string {
    return checksumOf(this.file().bytes);
  }

  async keep(): Promise<void> {}
  async drop(): Promise<void> {}
}

const pieceBytes = 2 ** 20; // a thread copies and adds them at once

const mostHeldBytes = 128 * 2 ** 20;

/**
 * A download in a blob, which the browser may hold on disk. While a reader takes what arrives, memory holds it as far as that goes:
 * to give a browser a blob takes longer than to download it, and then waits until the reader is done.
 */
export class BlobDraft implements Draft {
  #parts: (Blob | Uint8Array<ArrayBuffer>)[] = [];
  #held = 0; // bytes of them in memory
  #settled = 0; // of them, blobs whose bytes are in the checksum
  readonly #checksum = new Checksum();
  #piece = new Uint8Array(pieceBytes);
  #length = 0; // of the piece
  #arriving: ReadableStreamDefaultController<Uint8Array> | undefined;

  /** `kept`: whether what a reader takes while it arrives is wanted by others too. */
  constructor(readonly kept = true) {}

  async write(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0;) {
      const part = rest.subarray(0, pieceBytes - this.#length);
      this.#piece.set(part, this.#length);
      this.#length += part.length;
      rest = rest.subarray(part.length);
      if (this.#length < pieceBytes) continue;
      this.#endPiece();
      await this.#settle(this.#arriving ? mostHeldBytes : 0);
    }
  }

  #endPiece(): void {
    const piece = this.#piece.subarray(0, this.#length);
    this.#piece = new Uint8Array(pieceBytes);
    this.#length = 0;
    if (this.kept || !this.#arriving) {
      this.#parts.push(this.#arriving ? piece.slice() : piece);
      this.#held += piece.length;
    }
    this.#arriving?.enqueue(piece);
  }

  /** Makes blobs of what memory holds beyond so many bytes, the first first. */
  async #settle(most: number): Promise<void> {
    for (; this.#held > most; this.#settled++) {
      const part = this.#parts[this.#settled] as Uint8Array<ArrayBuffer>;
      this.#checksum.add(part);
      this.#parts[this.#settled] = new Blob([part]);
      this.#held -= part.length;
      if (this.#held > most && this.#settled % 4 === 3) await new Promise((resolve) => setTimeout(resolve)); // for the page
    }
  }

  arriving(size: number): ArrivingFile {
    const pieces = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#arriving = controller),
      cancel: () => void (this.#arriving = undefined),
    });
    return { kind: 'arriving', size, pieces };
  }

  file(): WholeFile & { kind: 'blob' } {
    if (this.#length > 0) this.#endPiece();
    this.#arriving?.close();
    this.#arriving = undefined;
    const blob = () => new Blob(this.#parts);
    return {
      kind: 'blob',
      get blob() {
        return blob();
      },
    };
  }

  /** Of the whole file. */
  async checksum(): Promise<string> {
    await this.#settle(0);
    return this.#checksum.toString();
  }

  async keep(): Promise<void> {}

  async drop(): Promise<void> {
    this.#parts = [];
    this.#arriving?.error(new WimmError('ERR_NETWORK', 'the download ended early', { retryable: true }));
    this.#arriving = undefined;
  }
}

export function openDraft(size: number, kept = true): MemoryDraft | BlobDraft {
  return typeof document === 'object' ? new BlobDraft(kept) : new MemoryDraft(size);
}

/** What a cache of a page keeps beside a file. */
export interface FileFacts {
  checksum: string;
  validator?: string | undefined;
}

/** A draft for a cache of a page; `keep` makes the file an entry. */
export function draftOf(size: number, keep: (file: Blob, facts: FileFacts) => Promise<void>): Draft {
  const draft = openDraft(size);
  let file: ReturnType<typeof draft.file>;
  const blob = () => (file.kind === 'blob' ? file.blob : new Blob([file.bytes as Uint8Array<ArrayBuffer>]));
  return {
    write: (chunk) => draft.write(chunk),
    ...('arriving' in draft && { arriving: (size) => draft.arriving(size) }),
    file: () => (file = draft.file()),
    keep: async (validator) => {
      try {
        const checksum = await draft.checksum();
        await keep(blob(), { checksum, validator });
      } catch (cause) {
        warnOnce(new WimmError('ERR_CACHE_QUOTA', 'weights are not cached: the cache did not take them', { cause }));
      }
    },
    drop: () => draft.drop(),
  };
}

/** Keeps nothing. */
export const noStore: Store = {
  match: async () => undefined,
  draft: async (_, size) => openDraft(size, false),
};

/** The store that the option `cache` stands for. */
export async function openStore(cache: boolean | WeightsCache): Promise<Store> {
  if (cache === false) return noStore;
  if (cache !== true) return new WebStore(cache);
  if (isNode) {
    const { FolderStore } = await import('../node/folder_store.js');
    return new FolderStore();
  }
  try {
    return await OriginStore.open('wimm-1');
  } catch {
    // an older browser, or a private window of some
  }
  try {
    return new SharedWebStore(await caches.open('wimm-1'));
  } catch (cause) {
    warnOnce(new WimmError('ERR_CACHE_QUOTA', 'weights are not cached: this page has no Cache Storage', { cause }));
    return noStore;
  }
}

/** Waits until no other tab downloads `url`. Gives what lets the next one on. */
export function lockAddress(url: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((release) => resolve(release));
    // Where there are no locks, two tabs may download the same.
    navigator.locks
      .request(`wimm ${url}`, { signal }, hold)
      .catch((error: unknown) => (signal.aborted ? reject(error as Error) : resolve(() => {})));
  });
}

/** Tells the developer, once, that an entry of the cache is of no use. */
export function warnDamaged(cause: unknown): void {
  const message = 'an entry of the cache cannot be read, and is downloaded again';
  warnOnce(new WimmError('ERR_CACHE_CORRUPT', message, { cause }));
}

const warned = new Set<string>();

/** Tells the developer, once, of a fault of the cache, without which all goes on. */
export function warnOnce(error: WimmError): void {
  if (warned.has(error.message)) return;
  warned.add(error.message);
  console.warn(`wimm: ${error.code}: ${error.message}`);
}
