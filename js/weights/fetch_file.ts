// Fetches a file through a store: only where the server has another than the store, and on from where a
// connection broke.

import { abortable } from '../abort.js';
import { WimmError } from '../errors.js';
import { invalidArgument } from '../options.js';
import { isNode } from '../platform.js';
import type { Fetch } from '../types.js';
import { HeadReader } from './head.js';
import {
  checkStatus,
  expectedBytes,
  isRetryable,
  networkError,
  receive,
  type ReceiveOptions,
  withIdleTimeout,
} from './receive.js';
import { type Draft, type Entry, noStore, type Store, type StoredFile } from './store.js';

export interface FileRequest {
  url: string;
  store: Store;
  fetch: Fetch | undefined;
  /** Whether the server's is wanted, whatever the store has. */
  fresh: boolean;
}

export interface FetchedFile extends StoredFile {
  /** Of a file that the store does not have. */
  draft?: Draft;
  validator?: string | undefined;
}

/** The file of the store, if it is still the server's or the server cannot be asked; or else the server's. */
export async function fetchFile(request: FileRequest, options: ReceiveOptions): Promise<FetchedFile> {
  const entry = request.fresh ? undefined : await request.store.match(request.url);
  const newer = entry && (await fetchNewer(request, entry, options));
  const stored = newer ? undefined : await entry?.open();
  if (stored) return stored;
  options.onStart();
  return download(request, newer ?? (await fetchAnew(request, {}, options)), options);
}

/**
 * The response of a server whose file is to be downloaded. Where a store is to keep it, a browser's own cache would keep
 * it a second time, which takes as long as all the rest.
 */
async function fetchAnew(
  request: FileRequest,
  headers: Record<string, string>,
  options: ReceiveOptions,
): Promise<Response> {
  return fetchResponse(request, request.store === noStore ? { headers } : { headers, cache: 'no-store' }, options);
}

/** The response of a server that has another file than the entry. */
async function fetchNewer(
  request: FileRequest,
  { validator }: Entry,
  options: ReceiveOptions,
): Promise<Response | undefined> {
  if (validator === undefined) return undefined;
  let response: Response;
  try {
    response = await fetchResponse(request, { headers: conditions(request.url, validator) }, options);
  } catch (error) {
    if (options.signal.aborted || !isRetryable(error)) throw error;
    return undefined;
  }
  if (response.status !== 304 && validatorOf(response) !== validator) return response;
  await response.body?.cancel();
  return undefined;
}

/** What names the content of a response: its ETag, or else when it was modified. */
function validatorOf({ headers }: Response): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined;
}

/**
 * Headers of a request for a file that is not the one of `validator`. A page may not send them to another origin, unless that
 * says so in a request of its own, which a hub's redirect forbids: there the headers of the whole file tell.
 */
function conditions(url: string, validator: string): Record<string, string> {
  if (!isNode && new URL(url).origin !== location.origin) return {};
  return validator.includes('"') ? { 'if-none-match': validator } : { 'if-modified-since': validator };
}

async function fetchResponse(
  { url, fetch = globalThis.fetch }: FileRequest,
  init: { headers: Record<string, string>; cache?: 'no-store' },
  options: ReceiveOptions,
): Promise<Response> {
  const { signal, name } = options;
  let response: Response;
  try {
    response = await withIdleTimeout(abortable(fetch(url, { ...init, signal }), signal), options);
    checkIsResponse(response);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw cause instanceof WimmError ? cause : networkError(name, cause);
  }
  try {
    if (response.status !== 304) checkResponse(url, response, name);
  } catch (error) {
    await response.body?.cancel();
    throw error;
  }
  return response;
}

/** A `fetch` of the caller's own may give anything. */
function checkIsResponse(response: Partial<Response> | undefined): void {
  const { body, headers, status } = response ?? {};
  if (typeof status !== 'number' || !headers || (body && typeof body.getReader !== 'function')) {
    throw invalidArgument('option fetch must resolve to a Response');
  }
}

function checkResponse(url: string, response: Response, name: string): void {
  checkStatus(response, name);
  if (url.startsWith('https:') && response.url.startsWith('http:')) {
    throw networkError(name, new Error('it redirects to an address that is not secure'));
  }
}

const maxResumes = 5; // in a row that bring nothing
const firstPause = 250; // milliseconds; each further one is twice as long

async function download(request: FileRequest, first: Response, options: ReceiveOptions): Promise<FetchedFile> {
  const { url, store } = request;
  const { signal } = options;
  const total = expectedBytes(first);
  const validator = validatorOf(first);
  const draft = await store.draft(url, total);
  if (total > 0 && draft.arriving) options.onArriving?.(draft.arriving(total));
  const received = { loaded: 0, headReader: new HeadReader(total) };
  let response: Response | undefined = first;
  let resumes = 0;
  try {
    for (;;) {
      const { loaded } = received;
      try {
        response ??= await fetchRest(request, validator!, loaded, total, options);
        if (response.body) await receive(response.body, total, draft, options, received);
        return { file: draft.file(), draft, validator };
      } catch (error) {
        resumes = received.loaded > loaded ? 1 : resumes + 1;
        const resumable = total > 0 && received.loaded > 0 && received.loaded < total && validator?.startsWith('"');
        if (signal.aborted || !isRetryable(error) || !resumable || resumes > maxResumes) throw error;
        await pause(firstPause * 2 ** (resumes - 1), options);
        response = undefined;
      }
    }
  } catch (error) {
    await draft.drop();
    throw error;
  }
}

/** The response with the bytes from `loaded` on, of the same content. */
async function fetchRest(
  request: FileRequest,
  validator: string,
  loaded: number,
  total: number,
  options: ReceiveOptions,
): Promise<Response> {
  // Whether the content is the same is seen from the answer: If-Range would cause a preflight.
  const response = await fetchAnew(request, { range: `bytes=${loaded}-` }, options);
  const range = response.headers.get('content-range') ?? `bytes ${loaded}-${total - 1}/${total}`; // hidden from some pages
  const fits = range === `bytes ${loaded}-${total - 1}/${total}` && expectedBytes(response) === total - loaded;
  if (response.status === 206 && fits && validatorOf(response) === validator) return response;
  await response.body?.cancel();
  const message = `${options.name} changed during its download, or its server cannot resume it`;
  throw new WimmError('ERR_NETWORK', message);
}

async function pause(milliseconds: number, { signal, idleTimeout }: ReceiveOptions): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.min(milliseconds, idleTimeout))));
  await abortable(passed, signal).finally(() => clearTimeout(timer));
}
