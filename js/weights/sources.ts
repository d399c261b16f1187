// Opens whatever a caller gives as weights.

import { throwIfAborted } from '../abort.js';
import { WimmError } from '../errors.js';
import { describe, invalidArgument } from '../options.js';
import { isNode } from '../platform.js';
import type { WeightsSource } from '../types.js';
import { checkAddress, type LoadContext, openFirst, type OpenWeights } from './download.js';
import { checkStatus, expectedBytes, receive, redact } from './receive.js';
import { openDraft } from './store.js';

export async function openSource(source: WeightsSource, context: LoadContext): Promise<OpenWeights> {
  throwIfAborted(context.signal);
  if (source instanceof URL) return openUrl(source, context);
  if (typeof source === 'string') return openString(source, context);
  if (source instanceof Uint8Array) return openBytes(source);
  if (source instanceof ArrayBuffer) return openBytes(new Uint8Array(checkAttached(source)));
  if (typeof Blob === 'function' && source instanceof Blob) {
    return openStream(source.stream(), source.size, (source as Partial<File>).name ?? 'the Blob', context);
  }
  if (typeof Response === 'function' && source instanceof Response) return openResponse(source, context);
  if (typeof ReadableStream === 'function' && source instanceof ReadableStream)
    return openStream(source, 0, 'the stream', context);
  throw invalidArgument(
    `option weights must be a URL, a path, an ArrayBuffer, a Uint8Array, a Blob, a Response or a ReadableStream, got ${describe(source)}`,
  );
}

async function openString(source: string, context: LoadContext): Promise<OpenWeights> {
  if (/^(https?|blob|data|file):/i.test(source)) {
    if (!URL.canParse(source)) throw invalidArgument(`option weights: ${describe(source)} is not an address`);
    return openUrl(new URL(source), context);
  }
  if (isNode) return openFile(source);
  const base = location.href;
  if (!URL.canParse(source, base)) throw invalidArgument(`option weights: ${describe(source)} is not an address`);
  return openUrl(new URL(source, base), context);
}

async function openUrl(url: URL, context: LoadContext): Promise<OpenWeights> {
  if (isNode && url.protocol === 'file:') return openFile(process.getBuiltinModule('url').fileURLToPath(url));
  checkAddress(url);
  return openFirst([url.href], context);
}

function openFile(path: string): OpenWeights {
  if (!path || path.includes('\0')) throw invalidArgument(`option weights: ${describe(path)} is not a path`);
  return { file: { kind: 'file', path }, name: path, release: async () => {} };
}

function openBytes(bytes: Uint8Array): OpenWeights {
  if (bytes.length === 0) checkAttached(bytes.buffer);
  return { file: { kind: 'bytes', bytes }, name: 'the weights', release: async () => {} };
}

/** A buffer that has been transferred away cannot be viewed. */
function checkAttached<T extends ArrayBufferLike>(buffer: T): T {
  try {
    new Uint8Array(buffer);
  } catch (cause) {
    throw new WimmError('ERR_INPUT_DETACHED', 'option weights: the buffer is detached', { cause });
  }
  return buffer;
}

async function openResponse(response: Response, context: LoadContext): Promise<OpenWeights> {
  const name = response.url ? redact(response.url) : 'the Response';
  checkStatus(response, name);
  if (response.bodyUsed) throw invalidArgument('option weights: the body of the Response has been used');
  return openStream(response.body ?? new Blob([]).stream(), expectedBytes(response), name, context);
}

async function openStream(
  stream: ReadableStream,
  total: number,
  name: string,
  context: LoadContext,
): Promise<OpenWeights> {
  if (stream.locked) throw invalidArgument('option weights: the stream is locked to another reader');
  const stop = new AbortController();
  const { signal, maxBytes, idleTimeout, onStart, onHead } = context;
  const abort = () =>
    stop.abort(new WimmError('ERR_ABORTED', 'the operation was aborted', { cause: signal?.reason as unknown }));
  signal?.addEventListener('abort', abort, { once: true });
  const draft = openDraft(total);
  const onProgress = (loaded: number, total: number) => context.onProgress(loaded, total, name);
  try {
    onStart();
    const options = { name, maxBytes, idleTimeout, onStart, onProgress, onHead, signal: stop.signal };
    await receive(stream, total, draft, options);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  return { file: draft.file(), name, release: async () => {} };
}
