// Work that an AbortSignal stops.

import { WimmError } from './errors.js';

/** What a caller sees of `signal`, which it has aborted. */
export function abortError(signal: AbortSignal): WimmError {
  return new WimmError('ERR_ABORTED', 'the operation was aborted', { cause: signal.reason as unknown });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** Calls `stop` once `signal` is aborted, or at once if it is. Gives what ends that. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });
  return () => signal?.removeEventListener('abort', stop);
}

/**
 * What `work` gives, unless the signal comes first: then its reason, if that is an error of wimm, or else an abort error.
 * The work itself goes on; what it gives nevertheless is handed to `discard`.
 */
export async function abortable<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  discard: (result: T) => void = () => {},
): Promise<T> {
  if (!signal) return work;
  let forget!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => {
      work.then(discard, () => {}); // its failure is of no interest any more
      reject(signal.reason instanceof WimmError ? signal.reason : abortError(signal));
    });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    forget();
  }
}
