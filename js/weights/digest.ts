// SHA-256 of weights files.

import type { WholeFile } from '../engine/engine.js';
import { hashInWorker } from '../engine/hash.js';
import { WimmError } from '../errors.js';

// A worker takes longer to start than these bytes to hash, off this thread in either case; reading them takes it milliseconds.
const bytesWithoutWorker = 2 ** 25;

/** In hexadecimal. */
export async function sha256(file: WholeFile): Promise<string> {
  if (file.kind === 'file') {
    const { hashFile } = await import('../node/files.js');
    return hashFile(file.path);
  }
  const isLarge = file.kind === 'blob' && file.blob.size > bytesWithoutWorker;
  if (isLarge && typeof document === 'object' && globalThis.isSecureContext) {
    try {
      return await hashInWorker(file.blob);
    } catch {
      // as well as this thread can
    }
  }
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (!subtle)
    throw new WimmError('ERR_INTEGRITY', 'a digest can be computed only in a secure context (https or localhost)');
  const bytes = file.kind === 'blob' ? await file.blob.arrayBuffer() : (file.bytes as Uint8Array<ArrayBuffer>);
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Throws integrity unless the file has this digest. */
export async function verifyDigest(file: WholeFile, expected: string, name: string): Promise<void> {
  const actual = await sha256(file);
  if (actual === expected) return;
  const message = `${name} has the SHA-256 digest ${actual}, but the option integrity expects ${expected}`;
  throw new WimmError('ERR_INTEGRITY', message, { details: { expected, actual } });
}
