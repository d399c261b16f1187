// Starts a WebAssembly build in this thread.

import { abortable } from '../abort.js';
import { WimmError } from '../errors.js';
import type { Backend, Variant } from '../types.js';
import { LocalEngine } from './local.js';
import type { CreateModule } from './native.js';

// Literal specifiers, so that bundlers find the files.
const modules: Record<Variant, () => Promise<{ default: CreateModule }>> = {
  simd: () => import('./wimm-simd.mjs'),
  'simd-threads': () => import('./wimm-simd-threads.mjs'),
  relaxed: () => import('./wimm-relaxed.mjs'),
  'relaxed-threads': () => import('./wimm-relaxed-threads.mjs'),
};

function loadError(variant: Variant, wasm: string | undefined, cause: unknown): WimmError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/unsafe-eval|Content Security Policy/i.test(text)) {
    return new WimmError(
      'ERR_CSP',
      `the page's Content-Security-Policy forbids WebAssembly; allow it with script-src 'wasm-unsafe-eval'`,
      { cause },
    );
  }
  const where = new URL(`wimm-${variant}.wasm`, wasm ?? import.meta.url).href;
  const message = `cannot load ${where}: ${text}. Serve the package's .mjs and .wasm files as they are, or tell where they lie with configure({ wasm })`;
  return new WimmError('ERR_WASM_LOAD', message, { cause, retryable: true, details: { url: where } });
}

/** Milliseconds that a worker may take to start, its script's download included. */
export const startTimeout = 30_000;

export function noThreads(cause: unknown): WimmError {
  const text = cause instanceof Error ? cause.message : 'a worker cannot start';
  return new WimmError('ERR_ENV_NO_THREADS', `no threads: ${text}`, { cause });
}

/**
 * An engine of this thread. `wasm` is the folder of the WebAssembly files, unless they lie beside this one.
 * Errors: wasm_load, csp; env_no_threads where shared memory or the workers of threads cannot be had.
 */
export async function instantiate(
  backend: Backend,
  wasm: string | undefined,
  onCrash: () => void,
): Promise<LocalEngine> {
  const { variant, threads } = backend;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const withoutThreads = new AbortController();
  const onThreadError = (cause: unknown) => withoutThreads.abort(noThreads(cause));
  if (threads > 1) timer = setTimeout(onThreadError, startTimeout, new Error('their workers do not start'));
  try {
    const creating = modules[variant]().then(({ default: create }) =>
      create({
        pthreadPoolSize: threads - 1,
        onThreadError,
        printErr: () => {}, // what goes wrong is thrown as well
        ...(wasm && { locateFile: (path: string) => new URL(path, wasm).href }),
      }),
    );
    return new LocalEngine(await abortable(creating, withoutThreads.signal), backend, onCrash);
  } catch (cause) {
    if (withoutThreads.signal.aborted) throw withoutThreads.signal.reason;
    throw threads > 1 && cause instanceof RangeError ? noThreads(cause) : loadError(variant, wasm, cause);
  } finally {
    clearTimeout(timer);
  }
}
