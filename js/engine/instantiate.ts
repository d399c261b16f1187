// Starts a WebAssembly build in this thread.

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

/** An engine of this thread. `wasm` is the folder of the WebAssembly files, unless they lie beside this one. */
export async function instantiate(
  backend: Backend,
  wasm: string | undefined,
  onCrash: () => void,
): Promise<LocalEngine> {
  try {
    const { default: create } = await modules[backend.variant]();
    const module = await create({
      pthreadPoolSize: backend.threads - 1,
      printErr: () => {}, // what goes wrong is thrown as well
      ...(wasm && { locateFile: (path: string) => new URL(path, wasm).href }),
    });
    return new LocalEngine(module, backend, onCrash);
  } catch (cause) {
    throw loadError(backend.variant, wasm, cause);
  }
}
