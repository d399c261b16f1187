// Chooses the WebAssembly build that fits the machine and where it runs, and starts it once.

import { relaxedSimd, simd, threads as sharedMemory } from 'wasm-feature-detect';

import { settings } from '../config.js';
import { WimmError } from '../errors.js';
import { hardwareThreads, isNode } from '../platform.js';
import type { Backend, Capabilities, Variant } from '../types.js';
import type { Engine } from './engine.js';
import { instantiate } from './instantiate.js';
import { RemoteEngine } from './remote.js';

const maxThreads = 16;

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

async function chooseBackend(threads: number | undefined): Promise<Omit<Backend, 'worker'>> {
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

/** An engine in a worker, or in this thread where a worker was not asked for and none can start. */
async function start(backend: Backend, worker: boolean | undefined, onCrash: () => void): Promise<Engine> {
  const { wasm } = settings;
  if (!backend.worker) return instantiate(backend, wasm, onCrash);
  try {
    return await RemoteEngine.start(backend, wasm, onCrash);
  } catch (error) {
    if (worker || (error as WimmError).code !== 'ERR_WORKER_CRASHED') throw error;
    return instantiate({ ...backend, worker: false }, wasm, onCrash);
  }
}

const engines = new Map<string, Promise<Engine>>();

/**
 * The engine for a number of threads, in a worker or not. All its models share one WebAssembly memory.
 *
 * @param worker default: in a worker on the main thread of a page.
 * @internal
 */
export async function loadEngine(threads?: number, worker?: boolean): Promise<Engine> {
  const backend = { ...(await chooseBackend(threads)), worker: worker ?? typeof document === 'object' };
  const key = JSON.stringify([backend, worker, settings.wasm]);
  const forget = () => engines.delete(key);
  let engine = engines.get(key);
  if (!engine) {
    engine = start(backend, worker, forget);
    engines.set(key, engine);
    engine.catch(forget);
  }
  return engine;
}
