// The script of a worker: an engine that is called by messages.

import { WimmError, type WimmErrorData } from '../errors.js';
import { isNode } from '../platform.js';
import type { Backend } from '../types.js';
import type { Engine, ModelSpec } from './engine.js';
import { instantiate } from './instantiate.js';

/** A call of a method of the engine; `start` loads the engine itself. */
export interface Call {
  id: number;
  method: 'start' | Exclude<keyof Engine, 'backend'>;
  parameters: unknown[];
}

export type Reply =
  { id: number; value: unknown } | { id: number; error: WimmErrorData } | { id: number; progress: [number, number] };

interface Port {
  post(reply: Reply, transfer: ArrayBuffer[]): void;
  onCall(listener: (call: Call) => void): void;
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
    onCall: (listener) => addEventListener('message', ({ data }) => listener(data as Call)),
  };
}

const port = openPort();
let engine: Promise<Engine>;

async function answer({ id, method, parameters }: Call): Promise<unknown> {
  switch (method) {
    case 'start': {
      const [backend, wasm] = parameters as [Backend, string | undefined];
      engine = instantiate(backend, wasm, () => {});
      await engine;
      return undefined;
    }
    case 'createModel':
      return (await engine).createModel(parameters[0] as ModelSpec, (loaded, total) => {
        port.post({ id, progress: [loaded, total] }, []);
        return true;
      });
    default: {
      const target = await engine;
      return (target[method] as (...parameters: unknown[]) => Promise<unknown>).apply(target, parameters);
    }
  }
}

/** The buffers of the tensors in a result, which are handed over and not copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  const tensors: unknown[] = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [value];
  const buffers = tensors.map((tensor) => (tensor as { data?: ArrayBufferView } | undefined)?.data?.buffer);
  return [...new Set(buffers.filter((buffer) => buffer instanceof ArrayBuffer))];
}

port.onCall((call) => {
  answer(call).then(
    (value) => port.post({ id: call.id, value }, buffersOf(value)),
    (error: unknown) => {
      const known = error instanceof WimmError ? error : new WimmError('ERR_RUNTIME_CRASHED', String(error));
      port.post({ id: call.id, error: known.toJSON() }, []);
    },
  );
});
