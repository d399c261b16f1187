// The script of a worker: an engine that is called by messages.

import { WimmError, type WimmErrorData } from '../errors.js';
import { isNode } from '../platform.js';
import type { Backend } from '../types.js';
import { sha256 } from '../weights/digest.js';
import type { Engine, ModelSpec, WholeFile } from './engine.js';
import { instantiate } from './instantiate.js';

/** A call of a method of the engine; `start` loads the engine itself, `sha256` needs none. */
export interface Call {
  id: number;
  method: 'start' | 'sha256' | Exclude<keyof Engine, 'backend' | 'readsAtOnce' | 'close'>;
  /** All that the method has, but for the signal. */
  parameters: unknown[];
}

/** Ends a call early. */
export interface Stop {
  id: number;
  stop: true;
}

/** `alive` comes first, before any call; `lock` once the worker holds the lock that `start` names, if ever. */
export type Reply =
  | { alive: true }
  | { lock: string }
  | { id: number; value: unknown }
  | { id: number; error: WimmErrorData }
  | { id: number; progress: [number, number] };

interface Port {
  post(reply: Reply, transfer: ArrayBuffer[]): void;
  onCall(listener: (call: Call | Stop) => void): void;
}

function openPort(): Port {
  if (isNode) {
    const { parentPort } = process.getBuiltinModule('worker_threads');
    return {
      post: (reply, transfer) => parentPort!.postMessage(reply, transfer),
      onCall: (listener) => void parentPort!.on('message', listener),
    };
  }
  return {
    post: (reply, transfer) => (postMessage as Worker['postMessage'])(reply, transfer),
    onCall: (listener) => addEventListener('message', ({ data }) => listener(data as Call | Stop)),
  };
}

const port = openPort();
let engine: Promise<Engine>;

/** Holds a lock of the browser as long as this worker lives, and tells once it does. */
function holdLock(lock: string): void {
  const locks = isNode ? undefined : (navigator as Partial<Navigator>).locks;
  const hold = () => {
    port.post({ lock }, []);
    return new Promise(() => {});
  };
  locks?.request(lock, hold).catch(() => {});
}

async function answer({ id, method, parameters }: Call, signal: AbortSignal): Promise<unknown> {
  switch (method) {
    case 'start': {
      const [backend, wasm, lock] = parameters as [Backend, string | undefined, string];
      engine = instantiate(backend, wasm, () => {});
      await engine;
      holdLock(lock);
      return;
    }
    case 'sha256':
      return sha256(parameters[0] as WholeFile);
    case 'createModel':
      return (await engine).createModel(
        parameters[0] as ModelSpec,
        (loaded, total) => port.post({ id, progress: [loaded, total] }, []),
        signal,
      );
    default: {
      const target = await engine;
      return (target[method] as (...parameters: unknown[]) => Promise<unknown>).call(target, ...parameters, signal);
    }
  }
}

/** The buffers of the tensors in a result, which are handed over and not copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  const tensors: unknown[] = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [value];
  const buffers = tensors.map((tensor) => (tensor as { data?: ArrayBufferView } | undefined)?.data?.buffer);
  return [...new Set(buffers.filter((buffer) => buffer instanceof ArrayBuffer))];
}

const stops = new Map<number, AbortController>();

port.onCall((message) => {
  const { id } = message;
  if ('stop' in message) {
    stops.get(id)?.abort();
    return;
  }
  const stop = new AbortController();
  stops.set(id, stop);
  answer(message, stop.signal)
    .then(
      (value) => port.post({ id, value }, buffersOf(value)),
      (error: unknown) => {
        const known = error instanceof WimmError ? error : new WimmError('ERR_RUNTIME_CRASHED', String(error));
        port.post({ id, error: known.toJSON() }, []);
      },
    )
    .finally(() => stops.delete(id));
});
port.post({ alive: true }, []);
