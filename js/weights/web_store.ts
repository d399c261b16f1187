// Downloads kept in Cache Storage, or in anything with its `match` and `put`.

import type { WeightsFile } from '../engine/engine.js';
import { WimmError } from '../errors.js';
import { sha256 } from './digest.js';
import { type Draft, type Entry, MemoryDraft, type Store, warnOnce } from './store.js';

const digestHeader = 'x-wimm-sha256';
const validatorHeader = 'x-wimm-validator';

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

  async #open(url: string, response: Response): Promise<WeightsFile | undefined> {
    try {
      const file = { kind: 'bytes', bytes: new Uint8Array(await response.arrayBuffer()) } as const;
      const expected = response.headers.get(digestHeader);
      if (expected !== null && expected !== (await sha256(file))) throw new Error('its digest differs');
      return file;
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
    const { cache } = this;
    return new (class extends MemoryDraft {
      override async keep(validator?: string): Promise<void> {
        const file = this.file();
        try {
          const headers = new Headers({
            [digestHeader]: await sha256(file),
            'content-length': String(file.bytes.length),
          });
          if (validator !== undefined) headers.set(validatorHeader, validator);
          await cache.put(url, new Response(file.bytes as Uint8Array<ArrayBuffer>, { headers }));
        } catch (cause) {
          warnOnce(new WimmError('ERR_CACHE_QUOTA', 'weights are not cached: the cache did not take them', { cause }));
        }
      }
    })(size);
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
