// Work in slices, between which the other tasks of the thread have their turn.

import { abortable } from '../abort.js';
import { isNode } from '../platform.js';

/** Of one slice: so long does the thread answer nothing else. */
const milliseconds = 10;

/**
 * Calls `advance` until it is done, which it tells, each time once `ready` has resolved. Rejects with the reason of `signal`
 * once that is aborted.
 */
export async function runSlices(
  advance: (milliseconds: number) => boolean,
  signal: AbortSignal | undefined,
  ready?: () => Promise<void>,
): Promise<void> {
  for (;;) {
    if (ready) await abortable(ready(), signal);
    if (advance(milliseconds)) return;
    await abortable(nextTask(), signal);
  }
}

/** Nothing runs meanwhile where a wait is shorter. */
const shortWait = 20;

/** Resolves, or rejects, as `pending` does. Until then, or until it is done, `advance` runs as above, if the wait is long. */
export async function runMeanwhile(
  pending: Promise<void>,
  advance: (milliseconds: number) => boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  let waiting = true;
  const settle = () => (waiting = false);
  pending.then(settle, settle);
  let timer: ReturnType<typeof setTimeout>;
  const later = new Promise<void>((resolve) => (timer = setTimeout(resolve, shortWait)));
  try {
    await Promise.race([pending, later]);
  } finally {
    clearTimeout(timer!);
  }
  while (waiting && !signal?.aborted && !advance(milliseconds)) await nextTask();
  return pending;
}

/** Small steps as slices. `step` tells whether it was the last. */
export function forMilliseconds(step: () => boolean): (milliseconds: number) => boolean {
  return (milliseconds) => {
    const end = performance.now() + milliseconds;
    while (!step()) if (performance.now() >= end) return false;
    return true;
  };
}

interface Scheduler {
  postTask(task: () => void): Promise<void>;
}

let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

/**
 * Resolves behind the tasks that wait already. A timer would do so 4 ms later, and a message, which some browsers hand to
 * another thread on its way, after whatever else keeps the processor busy.
 */
function nextTask(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: Partial<Scheduler> };
  if (scheduler?.postTask) return scheduler.postTask(() => {});
  return new Promise((resolve) => {
    if (isNode) {
      setImmediate(resolve);
      return;
    }
    if (!channel) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => waiting.shift()!();
    }
    waiting.push(resolve);
    channel.port2.postMessage(undefined);
  });
}
