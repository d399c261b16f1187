// Receives the bytes of a response or stream: bounded in size, and in the time between two chunks.

import type { WeightsHead } from '../engine/engine.js';
import type { ArrivingFile } from '../engine/pieces.js';
import { WimmError } from '../errors.js';
import { invalidArgument } from '../options.js';
import { HeadReader } from './head.js';
import type { Draft } from './store.js';

export interface ReceiveOptions {
  /** Where the bytes come from, for messages. */
  name: string;
  maxBytes: number;
  idleTimeout: number;
  /** Called before a file is fetched that the store does not have. */
  onStart: () => void;
  onProgress: (loaded: number, total: number) => void;
  /** Called with the head of a file that has one, once it is there. */
  onHead: (head: WeightsHead) => void;
  /** Called before the first byte with the file, where it can be read while it arrives. */
  onArriving?: ((file: ArrivingFile) => void) | undefined;
  signal: AbortSignal;
}

/** An address as it may stand in a message: without credentials, which a query may hold. */
export function redact(address: string | URL): string {
  const { protocol, host, pathname, search } = new URL(address);
  return protocol === 'data:' ? 'data:…' : `${protocol}//${host}${pathname}${search && '?…'}`;
}

/** What `work` gives, unless nothing comes for so long. */
export async function withIdleTimeout<T>(work: Promise<T>, { name, idleTimeout }: ReceiveOptions): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    const message = `${name} sent nothing for ${idleTimeout / 1000} s`;
    timer = setTimeout(() => reject(new WimmError('ERR_TIMEOUT', message, { retryable: true })), idleTimeout);
  });
  try {
    return await Promise.race([work, idle]);
  } finally {
    clearTimeout(timer);
  }
}

export function networkError(name: string, cause: unknown): WimmError {
  const reason =
    cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
  const hint =
    typeof document === 'object'
      ? '; if the server works, it may not allow this page to read (CORS, CORP, mixed content, or its policy connect-src)'
      : '';
  return new WimmError('ERR_NETWORK', `${name} cannot be fetched: ${reason}${hint}`, { cause, retryable: true });
}

/** Whether the same request may succeed later. */
export function isRetryable(error: unknown): boolean {
  return error instanceof WimmError && error.retryable;
}

function limitExceeded(name: string, maxBytes: number): WimmError {
  return new WimmError('ERR_LIMIT_EXCEEDED', `${name} has more than ${maxBytes} bytes, the option maxBytes`);
}

/** How far a file has come. */
export interface Received {
  loaded: number;
  headReader: HeadReader;
}

/** Reads `stream` to its end into `draft`, as what follows `received`. `total` is 0 where it is not known. */
export async function receive(
  stream: ReadableStream,
  total: number,
  draft: Draft,
  options: ReceiveOptions,
  received: Received = { loaded: 0, headReader: new HeadReader(total) },
): Promise<void> {
  const { name, maxBytes, onProgress, onHead, signal } = options;
  const reader = stream.getReader();
  const { headReader } = received;
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (total > maxBytes) throw limitExceeded(name, maxBytes);
    for (;;) {
      const { done, value } = await withIdleTimeout<ReadableStreamReadResult<unknown>>(reader.read(), options).catch(
        (cause: unknown) => {
          throw cause instanceof WimmError ? cause : networkError(name, cause);
        },
      );
      if (done) break;
      if (!(value instanceof Uint8Array)) throw invalidArgument(`${name} must be a stream of Uint8Array`);
      if (received.loaded + value.length > maxBytes) throw limitExceeded(name, maxBytes);
      const head = headReader.push(value);
      if (head && head.size > maxBytes) throw limitExceeded(name, maxBytes);
      if (head) onHead(head);
      await draft.write(value);
      received.loaded += value.length;
      onProgress(received.loaded, total);
    }
    if (signal.aborted) throw signal.reason;
    if (total && received.loaded !== total)
      throw networkError(name, new Error(`it ended after ${received.loaded} of ${total} bytes`));
  } catch (error) {
    void reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Bytes that a response will have; 0 where they are not known, as where it is compressed on its way. */
export function expectedBytes({ headers }: Response): number {
  const length = Number(headers.get('content-length') ?? 0);
  return headers.has('content-encoding') || !Number.isSafeInteger(length) || length < 0 ? 0 : length;
}

/** Throws http_status for a response that is not a success. */
export function checkStatus(response: Response, name: string): void {
  const { ok, status } = response;
  if (response.type === 'opaque') throw networkError(name, new Error('the response is opaque'));
  if (ok) return;
  const retryable = status === 408 || status === 429 || status >= 500;
  throw new WimmError('ERR_HTTP_STATUS', `${name} answered with status ${status}`, {
    retryable,
    details: { status, url: name },
  });
}
