// A file of the origin's private file system, which a worker reads at any place without waiting.

import { WimmError } from '../errors.js';
import type { OpenFile } from './native.js';
import { unreadableFile } from './pieces.js';

/** What TypeScript declares for workers alone. */
interface SyncAccessHandle {
  read(target: Uint8Array, options: { at: number }): number;
  close(): void;
}

type SyncFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle(options: { mode: 'read-only' }): Promise<SyncAccessHandle>;
};

/**
 * Undefined where the file cannot be read so: by a page's own thread, or where the browser lets only one at a time, and another
 * tab is it.
 */
export async function openOriginFile(handle: FileSystemFileHandle, size: number): Promise<OpenFile | undefined> {
  let access: SyncAccessHandle;
  try {
    access = await (handle as SyncFileHandle).createSyncAccessHandle({ mode: 'read-only' });
  } catch {
    return undefined;
  }
  const read = (offset: number, target: Uint8Array) => {
    let count: number;
    try {
      count = access.read(target, { at: offset });
    } catch (cause) {
      throw unreadableFile(cause);
    }
    if (count < target.length) throw new WimmError('ERR_FORMAT_TRUNCATED', `the file ends before byte ${size}`);
  };
  return { size, read, close: () => access.close() };
}
