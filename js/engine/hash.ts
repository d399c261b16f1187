// Hashing in a worker, so that a page stays free.

import { WimmError } from '../errors.js';
import { startTimeout } from './instantiate.js';
import { openWorker } from './port.js';

/** The SHA-256 digest of a blob, in hexadecimal. Errors: where no worker can start, or the blob cannot be read. */
export async function hashInWorker(blob: Blob): Promise<string> {
  const port = await openWorker();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise((resolve, reject) => {
      timer = setTimeout(reject, startTimeout, new Error('its script does not run'));
      port.onCrash(reject);
      port.onReply((reply) => {
        if ('alive' in reply) clearTimeout(timer);
        if ('value' in reply) resolve(reply.value as string);
        if ('error' in reply) reject(WimmError.from(reply.error));
      });
      port.post({ id: 1, method: 'sha256', parameters: [{ kind: 'blob', blob }] }, []);
    });
  } finally {
    clearTimeout(timer);
    port.close();
  }
}
