// Chooses the WebAssembly build that fits the machine and where it runs, and starts it once.

import { relaxedSimd, simd, threads as sharedMemory } from 'wasm-feature-detect';

import { settings } from '../config.js';
import { WimmError } from '../errors.js';
import { hardwareThreads, isNode } from '../platform.js';
import type { Backend, Capabilities, Simd, Variant } from '../types.js';
import type { Engine } from './engine.js';
import { instantiate } from './instantiate.js';
import { RemoteEngine } from './remote.js';

const maxThreads = 16;

/** Builds that did not start here or computed wrongly, and why. */
const faults = new Map<Variant, WimmError>();

/** Why models do not run in a worker. */
let workerFault: WimmError | undefined;

function variantName(relaxed: boolean, threads: boolean): Variant {
  return `${relaxed ? 'relaxed' : 'simd'}${threads ? '-threads' : ''}` as Variant;
}

/** What the machine and the page allow, and the build that `createModel` takes by default. It never rejects. */
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
  for (const { message } of new Set(faults.values())) reasons.push(message);
  if (workerFault) reasons.push(workerFault.message);
  const able = { simd: hasSimd, relaxedSimd: hasRelaxed, threads: hasThreads, isolated, reasons };
  return { ...able, variant: backendsOf(able, settings)[0]?.variant };
}

type Choice = Omit<Backend, 'worker'>;

/** What a caller wants of the engine; what is undefined is for `loadEngine` to choose. */
interface Wanted {
  threads?: number | undefined;
  simd?: Simd | undefined;
  worker?: boolean | undefined;
}

/** What can run, the fastest first. What is wanted is not given up. */
function backendsOf(able: Omit<Capabilities, 'variant'>, wanted: Wanted): Choice[] {
  if (!able.simd) return [];
  const most = able.threads ? (wanted.threads ?? Math.min(hardwareThreads(), maxThreads)) : 1;
  const counts = wanted.threads === undefined && most > 1 ? [most, 1] : [most];
  const builds = (['relaxed-simd', 'simd'] as const).filter(
    (simd) => simd === (wanted.simd ?? simd) && (able.relaxedSimd || simd === 'simd'),
  );
  return counts
    .flatMap((threads) =>
      builds.map((simd): Choice => ({ variant: variantName(simd === 'relaxed-simd', threads > 1), simd, threads })),
    )
    .filter(({ variant }) => !faults.has(variant));
}

function reasonOf({ reasons }: Capabilities, start: string): string | undefined {
  return reasons.find((text) => text.startsWith(start));
}

async function chooseBackend({ threads = settings.threads, simd = settings.simd }: Wanted): Promise<Choice> {
  const able = await capabilities();
  if (!able.simd) {
    const code = typeof WebAssembly === 'object' ? 'ERR_ENV_NO_SIMD' : 'ERR_ENV_NO_WASM';
    throw new WimmError(code, `wimm cannot run here: ${able.reasons[0]}`);
  }
  if (simd === 'relaxed-simd' && !able.relaxedSimd) {
    throw new WimmError('ERR_ENV_NO_SIMD', `relaxed SIMD was asked for, but ${reasonOf(able, 'no relaxed SIMD')}`);
  }
  const [backend] = backendsOf(able, { threads, simd });
  const cause = [...faults.values()].at(-1);
  if (threads !== undefined && threads > 1 && !(able.threads && backend)) {
    const reason = able.threads ? cause?.message : reasonOf(able, 'no threads');
    throw new WimmError('ERR_ENV_NO_THREADS', `${threads} threads were asked for, but ${reason}`, { cause });
  }
  if (!backend) throw cause!;
  return backend;
}

/** An engine in a worker, or in this thread where a worker was not asked for and none can start. */
async function start(backend: Backend, worker: boolean | undefined, onCrash: () => void): Promise<Engine> {
  const { wasm } = settings;
  if (!backend.worker) return instantiate(backend, wasm, onCrash);
  try {
    return await RemoteEngine.start(backend, wasm, onCrash);
  } catch (error) {
    if (worker || (error as WimmError).code !== 'ERR_WORKER_CRASHED') throw error;
    workerFault = error as WimmError;
    return instantiate({ ...backend, worker: false }, wasm, onCrash);
  }
}

/** What goes wrong with a build, where another may go right. */
class Fault extends Error {
  constructor(
    readonly error: WimmError,
    readonly variants: Variant[],
  ) {
    super(error.message);
  }
}

/** Throws a fault where the build does not start, or computes wrongly. */
async function startChecked(...parameters: Parameters<typeof start>): Promise<Engine> {
  const [{ variant, threads }] = parameters;
  const threaded: Variant[] = ['relaxed-threads', 'simd-threads'];
  try {
    const engine = await start(...parameters);
    if (await engine.selfCheck()) return engine;
    engine.close();
  } catch (cause) {
    const { code } = cause as WimmError;
    if (threads > 1 && (code === 'ERR_ENV_NO_THREADS' || code === 'ERR_OUT_OF_MEMORY')) {
      throw new Fault(cause as WimmError, threaded);
    }
    if (code !== 'ERR_RUNTIME_CRASHED') throw cause;
  }
  const message = `the build ${variant} computes wrongly on this machine`;
  throw new Fault(new WimmError('ERR_RUNTIME_CRASHED', message), [variant]);
}

const engines = new Map<string, Promise<Engine>>();

/**
 * The engine of a build, its threads, and a worker or none: on the main thread of a page in one by default. All its models
 * share one WebAssembly memory. Where a build turns out not to work, it is the next that does.
 *
 * @internal
 */
export async function loadEngine(wanted: Wanted = {}): Promise<Engine> {
  const { worker } = wanted;
  for (;;) {
    const backend = { ...(await chooseBackend(wanted)), worker: worker ?? typeof document === 'object' };
    const key = JSON.stringify([backend, worker, settings.wasm]);
    let engine = engines.get(key);
    if (!engine) {
      const forget = () => {
        if (engines.get(key) === engine) engines.delete(key);
      };
      engine = startChecked(backend, worker, forget);
      engines.set(key, engine);
      engine.catch(forget);
    }
    try {
      return await engine;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      for (const variant of error.variants) faults.set(variant, error.error);
    }
  }
}
