// Chooses the WebAssembly build that fits the machine, and loads it once.

import { relaxedSimd, simd, threads as sharedMemory } from 'wasm-feature-detect';

import { settings } from '../config.js';
import { WimmError } from '../errors.js';
import { hardwareThreads, isNode } from '../platform.js';
import type { Backend, Capabilities, Variant } from '../types.js';
import type { Engine } from './engine.js';
import { LocalEngine } from './local.js';
import type { CreateModule } from './native.js';

const maxThreads = 16;

// Literal specifiers, so that bundlers find the files.
const modules: Record<Variant, () => Promise<{ default: CreateModule }>> = {
  simd: () => import('./wimm-simd.mjs'),
  'simd-threads': () => import('./wimm-simd-threads.mjs'),
  relaxed: () => import('./wimm-relaxed.mjs'),
  'relaxed-threads': () => import('./wimm-relaxed-threads.mjs'),
};

function variantName(relaxed: boolean, threads: boolean): Variant {
  return `${relaxed ? 'relaxed' : 'simd'}${threads ? '-threads' : ''}` as Variant;
}

/** What the machine and the page allow, and the build that `createModel` takes by default. */
export async function capabilities(): Promise<Capabilities> {
  const hasWasm = typeof WebAssembly === 'object';
  const isolated = isNode || globalThis.crossOriginIsolated === true;
  const [hasSimd, hasRelaxed, hasThreads] = hasWasm
    ? await Promise.all([simd(), relaxedSimd(), isolated && sharedMemory()])
    : [false, false, false];
  const reasons: string[] = [];
  if (!hasWasm) reasons.push('no WebAssembly: the browser has it switched off');
  else if (!hasSimd) reasons.push('no WebAssembly SIMD');
  else if (!hasRelaxed) {
    reasons.push(
      `no relaxed SIMD${isNode ? ': Node 20 has it with --experimental-wasm-relaxed-simd, Node 22 by default' : ''}`,
    );
  }
  if (!isolated) {
    reasons.push(
      'no threads: the page is not cross-origin isolated (Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)',
    );
  } else if (!hasThreads) reasons.push('no threads: no shared WebAssembly memory');
  const threads = hasThreads && (settings.threads ?? hardwareThreads()) > 1;
  return {
    simd: hasSimd,
    relaxedSimd: hasRelaxed,
    threads: hasThreads,
    isolated,
    variant: hasSimd ? variantName(hasRelaxed, threads) : undefined,
    reasons,
  };
}

async function chooseBackend(threads: number | undefined): Promise<Backend> {
  const able = await capabilities();
  if (!able.variant) {
    const code = typeof WebAssembly === 'object' ? 'ERR_ENV_NO_SIMD' : 'ERR_ENV_NO_WASM';
    throw new WimmError(code, `wimm cannot run here: ${able.reasons[0]}`);
  }
  const wanted = threads ?? settings.threads;
  if (wanted !== undefined && wanted > 1 && !able.threads) {
    throw new WimmError('ERR_ENV_NO_THREADS', `${wanted} threads were asked for, but ${able.reasons.at(-1)}`);
  }
  const count = able.threads ? (wanted ?? Math.min(hardwareThreads(), maxThreads)) : 1;
  return {
    variant: variantName(able.relaxedSimd, count > 1),
    simd: able.relaxedSimd ? 'relaxed-simd' : 'simd',
    threads: count,
  };
}

function loadError(variant: Variant, cause: unknown): WimmError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/unsafe-eval|Content Security Policy/i.test(text)) {
    return new WimmError(
      'ERR_CSP',
      `the page's Content-Security-Policy forbids WebAssembly; allow it with script-src 'wasm-unsafe-eval'`,
      { cause },
    );
  }
  const where = new URL(`wimm-${variant}.wasm`, settings.wasm ?? import.meta.url).href;
  const message = `cannot load ${where}: ${text}. Serve the package's .mjs and .wasm files as they are, or tell where they lie with configure({ wasm })`;
  return new WimmError('ERR_WASM_LOAD', message, { cause, retryable: true, details: { url: where } });
}

async function instantiate(backend: Backend, onCrash: () => void): Promise<Engine> {
  const { wasm } = settings;
  try {
    const { default: create } = await modules[backend.variant]();
    const module = await create({
      pthreadPoolSize: backend.threads - 1,
      printErr: () => {}, // what goes wrong is thrown as well
      ...(wasm && { locateFile: (path: string) => new URL(path, wasm).href }),
    });
    return new LocalEngine(module, backend, onCrash);
  } catch (cause) {
    throw loadError(backend.variant, cause);
  }
}

const engines = new Map<string, Promise<Engine>>();

/** The engine for a number of threads. All its models share one WebAssembly memory. */
export async function loadEngine(threads?: number): Promise<Engine> {
  const backend = await chooseBackend(threads);
  const key = `${backend.variant}, ${backend.threads} threads, ${settings.wasm ?? ''}`;
  const forget = () => engines.delete(key);
  let engine = engines.get(key);
  if (!engine) {
    engine = instantiate(backend, forget);
    engines.set(key, engine);
    engine.catch(forget);
  }
  return engine;
}
