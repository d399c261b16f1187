// The worker that runs this package, as a port for messages.

import { isNode } from '../platform.js';
import type { Call, Reply, Stop } from './worker.js';

/** What the workers of browsers and of Node have in common. */
export interface Port {
  post(call: Call | Stop, transfer: Transferable[]): void;
  onReply(listener: (reply: Reply) => void): void;
  onCrash(listener: (cause: unknown) => void): void;
  /** Whether the process is to wait for it. */
  hold(busy: boolean): void;
  close(): void;
}

/** Errors: the platform's own, where no worker can start. */
export async function openWorker(): Promise<Port> {
  if (isNode) {
    const { Worker } = process.getBuiltinModule('worker_threads');
    // Its parent's arguments may be for the main script alone.
    const worker = new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] });
    return {
      post: (call, transfer) => worker.postMessage(call, transfer as ArrayBuffer[]),
      onReply: (listener) => void worker.on('message', listener),
      onCrash: (listener) => void worker.on('error', listener).on('exit', listener),
      hold: (busy) => (busy ? worker.ref() : worker.unref()),
      close: () => void worker.terminate(),
    };
  }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'wimm' });
  return {
    post: (call, transfer) => worker.postMessage(call, transfer),
    onReply: (listener) => worker.addEventListener('message', ({ data }) => listener(data as Reply)),
    onCrash: (listener) => {
      worker.addEventListener('error', (event) => listener(event.error ?? event.message));
      worker.addEventListener('messageerror', () => listener('a message could not be read'));
    },
    hold: () => {},
    close: () => worker.terminate(),
  };
}
