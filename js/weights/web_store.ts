// Downloads kept in Cache Storage, or in anything with its `match` and `put`.

import type { WholeFile } from '../engine/engine.js';
import { checksumOf } from './checksum.js';
import {
  type Draft,
  draftOf,
  type Entry,
  type FileFacts,
  lockAddress,
  type Store,
  type StoredFile,
  warnDamaged,
} from './store.js';

const checksumHeader = 'x-wimm-checksum';
const validatorHeader = 'x-wimm-validator';

async function readFile(response: Response): Promise<WholeFile & { kind: 'bytes' | 'blob' }> {
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
    warnDamaged(cause);
    await this.cache.delete?.(url).catch(() => {});
    return undefined;
  }

  async draft(url: string, size: number): Promise<Draft> {
    return draftOf(size, (file, facts) => this.#keep(url, file, facts));
  }

  async #keep(url: string, file: Blob, { checksum, validator }: FileFacts): Promise<void> {
    const headers = new Headers({ [checksumHeader]: checksum, 'content-length': String(file.size) });
    if (validator !== undefined) headers.set(validatorHeader, validator);
    await this.cache.put(url, new Response(file, { headers }));
  }
}

/** A store that the tabs of an origin share. */
export class SharedWebStore extends WebStore implements Store {
  lock = lockAddress;
}
