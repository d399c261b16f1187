// Downloads kept in Cache Storage, or in anything with its `match` and `put`.

import { WimmError } from '../errors.js';
import { sha256 } from './digest.js';
import { type Draft, type Entry, MemoryDraft, type Store, warnOnce } from './store.js';

const digestHeader = 'x-wimm-sha256';

export class WebStore implements Store {
  constructor(readonly cache: Pick<Cache, 'match' | 'put'> & Partial<Pick<Cache, 'delete'>>) {}

  async match(url: string): Promise<Entry | undefined> {
    try {
      const response = await this.cache.match(url);
      if (!response) return undefined;
      const file = { kind: 'bytes', bytes: new Uint8Array(await response.arrayBuffer()) } as const;
      const expected = response.headers.get(digestHeader);
      if (expected === null || expected === (await sha256(file))) return { file };
      await this.cache.delete?.(url);
    } catch (cause) {
      warnOnce(
        new WimmError('ERR_CACHE_CORRUPT', 'an entry of the cache cannot be read, and is downloaded again', { cause }),
      );
    }
    return undefined;
  }

  async draft(url: string, size: number): Promise<Draft> {
    const { cache } = this;
    return new (class extends MemoryDraft {
      override async keep(): Promise<void> {
        const file = this.file();
        try {
          const headers = { [digestHeader]: await sha256(file), 'content-length': String(file.bytes.length) };
          await cache.put(url, new Response(file.bytes as Uint8Array<ArrayBuffer>, { headers }));
        } catch (cause) {
          warnOnce(new WimmError('ERR_CACHE_QUOTA', 'weights are not cached: the cache did not take them', { cause }));
        }
      }
    })(size);
  }
}
