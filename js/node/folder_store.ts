// Downloads kept in a folder. An entry is a JSON file named by the digest of its address, which names a data file by the
// digest of its content. Both are written under a temporary name and renamed, so that a reader sees an old or a new
// entry, never a mixture. Data that was replaced stays for a day: another process may be about to open it.

import type { FileHandle } from 'node:fs/promises';

import type { WholeFile } from '../engine/engine.js';
import { WimmError } from '../errors.js';
import { type Draft, type Entry, MemoryDraft, type Store, type StoredFile, warnOnce } from '../weights/store.js';
import { hashFile } from './files.js';

const fs = process.getBuiltinModule('fs/promises');
const os = process.getBuiltinModule('os');
const path = process.getBuiltinModule('path');
const { createHash, randomUUID } = process.getBuiltinModule('crypto');

const layout = 'v1'; // of the folder
const dayMilliseconds = 24 * 60 * 60 * 1000;

interface Record {
  sha256: string;
  validator?: string | undefined;
}

export class FolderStore implements Store {
  readonly folder = path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'wimm', layout);

  async match(url: string): Promise<Entry | undefined> {
    const recordPath = this.#recordPath(url);
    let text: string;
    try {
      text = await fs.readFile(recordPath, 'utf8');
    } catch {
      return undefined;
    }
    try {
      const { sha256, validator } = JSON.parse(text) as Record;
      const path = this.#dataPath(sha256);
      return { validator, open: () => this.#open(path, sha256, recordPath) };
    } catch (cause) {
      return this.#discard(recordPath, cause);
    }
  }

  async #open(path: string, sha256: string, recordPath: string): Promise<StoredFile | undefined> {
    try {
      if ((await hashFile(path)) !== sha256) throw new Error('its digest differs');
      return { file: { kind: 'file', path } };
    } catch (cause) {
      return this.#discard(recordPath, cause);
    }
  }

  async #discard(recordPath: string, cause: unknown): Promise<undefined> {
    warnOnce(new WimmError('ERR_CACHE_CORRUPT', `${recordPath} is damaged, and is downloaded again`, { cause }));
    await fs.rm(recordPath, { force: true }).catch(() => {});
    return undefined;
  }

  async draft(url: string, size: number): Promise<Draft> {
    try {
      await fs.mkdir(this.folder, { recursive: true });
      await this.#sweep();
      const temporary = this.#temporaryPath();
      return new FileDraft(temporary, await fs.open(temporary, 'wx'), (validator) =>
        this.#keep(url, temporary, validator),
      );
    } catch (cause) {
      warnUnwritable(cause);
      return new MemoryDraft(size);
    }
  }

  async #keep(url: string, temporary: string, validator: string | undefined): Promise<void> {
    const sha256 = await hashFile(temporary);
    await fs.rename(temporary, this.#dataPath(sha256));
    const record = this.#temporaryPath();
    await fs.writeFile(record, JSON.stringify({ sha256, validator } satisfies Record));
    await this.#touch(this.#recordPath(url));
    await fs.rename(record, this.#recordPath(url));
  }

  /** Makes the data that a record names new, if there is any. */
  async #touch(recordPath: string): Promise<void> {
    const now = new Date();
    const replaced = await this.#named(recordPath);
    if (replaced) await fs.utimes(replaced, now, now).catch(() => {});
  }

  /** Removes what processes that died have left, and data that no entry has named for a day. */
  async #sweep(): Promise<void> {
    const files = (await fs.readdir(this.folder)).map((name) => path.join(this.folder, name));
    const isOld = async (file: string) =>
      Date.now() - (await fs.stat(file).catch(() => ({ mtimeMs: Infinity }))).mtimeMs > dayMilliseconds;
    for (const file of files.filter((file) => file.endsWith('.tmp')))
      if (isAbandoned(path.basename(file)) || (await isOld(file))) await fs.rm(file, { force: true });
    const records = files.filter((file) => file.endsWith('.json'));
    const named = new Set(await Promise.all(records.map((record) => this.#named(record))));
    for (const file of files.filter((file) => file.endsWith('.weights')))
      if (!named.has(file) && (await isOld(file))) await fs.rm(file, { force: true });
  }

  /** The data file that a record names, if it can be read. */
  async #named(recordPath: string): Promise<string | undefined> {
    try {
      return this.#dataPath((JSON.parse(await fs.readFile(recordPath, 'utf8')) as Record).sha256);
    } catch {
      return undefined;
    }
  }

  #recordPath(url: string): string {
    return path.join(this.folder, `${createHash('sha256').update(url).digest('hex')}.json`);
  }

  #dataPath(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('its record is damaged');
    return path.join(this.folder, `${sha256}.weights`);
  }

  #temporaryPath(): string {
    return path.join(this.folder, `${encodeURIComponent(os.hostname())} ${process.pid} ${randomUUID()}.tmp`);
  }
}

/** Whether the process of this machine that has written a temporary file is no more. */
function isAbandoned(name: string): boolean {
  const [host, pid, rest] = name.split(' ');
  if (rest === undefined || host !== encodeURIComponent(os.hostname())) return false;
  try {
    process.kill(Number(pid), 0); // sends nothing
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function warnUnwritable(cause: unknown): void {
  const message = `weights are not cached: ${(cause as Error).message}`;
  warnOnce(new WimmError('ERR_CACHE_QUOTA', message, { cause }));
}

/** A download in a temporary file; it moves to memory where the disk is full. */
class FileDraft implements Draft {
  #handle: FileHandle;
  #length = 0;
  #memory: MemoryDraft | undefined;
  #kept = false;

  constructor(
    readonly path: string,
    handle: FileHandle,
    readonly commit: (validator: string | undefined) => Promise<void>,
  ) {
    this.#handle = handle;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#memory) return this.#memory.write(chunk);
    try {
      await this.#handle.appendFile(chunk);
      this.#length += chunk.length;
    } catch (cause) {
      warnUnwritable(cause);
      this.#memory = await this.#moveToMemory();
      await this.#memory.write(chunk);
    }
  }

  async #moveToMemory(): Promise<MemoryDraft> {
    const memory = new MemoryDraft(this.#length);
    const written = await fs.readFile(this.path);
    await memory.write(written.subarray(0, this.#length));
    await this.#remove();
    return memory;
  }

  file(): WholeFile {
    return this.#memory?.file() ?? { kind: 'file', path: this.path };
  }

  async keep(validator: string | undefined): Promise<void> {
    if (this.#memory) return;
    try {
      await this.#handle.close();
      await this.commit(validator);
      this.#kept = true;
    } catch (cause) {
      warnUnwritable(cause);
    }
  }

  async drop(): Promise<void> {
    if (!this.#memory && !this.#kept) await this.#remove();
  }

  async #remove(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await fs.rm(this.path, { force: true }).catch(() => {});
  }
}
