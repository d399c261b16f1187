// Downloads kept in Cache Storage, or in anything with its `match` and `put`.

import type { WholeFile } from '../engine/engine.js';
import { WimmError } from '../errors.js';
import { checksumOf } from './checksum.js';
import { type Draft, type Entry, openDraft, type Store, type StoredFile, warnOnce } from './store.js';

const checksumHeader = 'x-wimm-checksum';
const validatorHeader = 'x-wimm-validator';

type WebFile = WholeFile & { kind: 'bytes' | 'blob' };

async function readFile(response: Response): Promise<WebFile> {
  if (typeof document === 'object') return { kind: 'blob', blob: await response.blob() };
  return { kind: 'bytes', bytes: new Uint8Array(await response.arrayBuffer()) };
}

export class WebStore implements Store {
  constructor(readonly cache: Pick<Cache, 'match' | 'put'> & Partial<Pick<Cache, 'delete'>>) {}

  async match(url: string): Promise<Entry | undefined> {
    try {
      const response = await this.cache.match(url);
      if (!response) return undefined;
      const validator = response.headers.get(validatorHeader) ?? undefined;
      return { validator, open: () => this.#open(url, response) };
    } catch (cause) {
      return this.#discard(url, cause);
    }
  }

  async #open(url: string, response: Response): Promise<StoredFile | undefined> {
    try {
      const file = await readFile(response);
      const checksum = response.headers.get(checksumHeader);
      if (checksum === null) return { file };
      if (file.kind === 'blob')
        return { file: { ...file, checksum }, discard: async (cause) => void (await this.#discard(url, cause)) };
      if (checksum !== checksumOf(file.bytes)) throw new Error('its checksum differs');
      return { file };
    } catch (cause) {
      return this.#discard(url, cause);
    }
  }

  async #discard(url: string, cause: unknown): Promise<undefined> {
    const message = 'an entry of the cache cannot be read, and is downloaded again';
    warnOnce(new WimmError('ERR_CACHE_CORRUPT', message, { cause }));
    await this.cache.delete?.(url).catch(() => {});
    return undefined;
  }

  async draft(url: string, size: number): Promise<Draft> {
    const draft = openDraft(size);
    let file: ReturnType<typeof draft.file>;
    return {
      write: (chunk) => draft.write(chunk),
      ...('arriving' in draft && { arriving: (size) => draft.arriving(size) }),
      file: () => (file = draft.file()),
      keep: (validator) => this.#keep(url, file, draft.checksum(), validator),
      drop: () => draft.drop(),
    };
  }

  async #keep(url: string, file: WebFile, checksum: string, validator: string | undefined): Promise<void> {
    const body = file.kind === 'blob' ? file.blob : (file.bytes as Uint8Array<ArrayBuffer>);
    const size = file.kind === 'blob' ? file.blob.size : file.bytes.length;
    try {
      const headers = new Headers({ [checksumHeader]: checksum, 'content-length': String(size) });
      if (validator !== undefined) headers.set(validatorHeader, validator);
      await this.cache.put(url, new Response(body, { headers }));
    } catch (cause) {
      warnOnce(new WimmError('ERR_CACHE_QUOTA', 'weights are not cached: the cache did not take them', { cause }));
    }
  }
}

/** A store that the tabs of an origin share. */
export class SharedWebStore extends WebStore implements Store {
  lock(url: string, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const hold = () => new Promise<void>((release) => resolve(release));
      // Where there are no locks, two tabs may download the same.
      navigator.locks
        .request(`wimm ${url}`, { signal }, hold)
        .catch((error: unknown) => (signal.aborted ? reject(error as Error) : resolve(() => {})));
    });
  }
}
