// Files of Node. This module is imported only there, and its built-in modules are reached without `import`, so that
// bundlers for browsers find nothing that they cannot resolve.

import { WimmError } from '../errors.js';
import type { OpenFile } from '../engine/native.js';
import { invalidArgument } from '../options.js';

const fs = process.getBuiltinModule('fs');
const { createHash } = process.getBuiltinModule('crypto');

/** A file for reading at any place; throws invalid_argument where there is none. */
export function openFile(path: string): OpenFile {
  let fd: number;
  let size: number;
  try {
    fd = fs.openSync(path, 'r');
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new Error('not a regular file');
    size = stat.size;
  } catch (cause) {
    throw invalidArgument(`cannot open ${path}: ${(cause as Error).message}`, cause);
  }
  return {
    size,
    read(offset, target) {
      for (let done = 0; done < target.length;) {
        const count = readSome(path, fd, target.subarray(done), offset + done);
        if (count === 0) throw new WimmError('ERR_FORMAT_TRUNCATED', `${path} became shorter while it was read`);
        done += count;
      }
    },
    close: () => fs.closeSync(fd),
  };
}

function readSome(path: string, fd: number, target: Uint8Array, offset: number): number {
  try {
    return fs.readSync(fd, target, 0, target.length, offset);
  } catch (cause) {
    throw invalidArgument(`cannot read ${path}: ${(cause as Error).message}`, cause);
  }
}

/** SHA-256 of a file, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of fs.createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
