// The pieces of a weights file on their way to a worker: they are handed over, and not copied.

import { WimmError, type WimmErrorData } from '../errors.js';
import type { WeightsFile } from './engine.js';

/** The pieces of a file as they come, or the port through which a worker gets them. */
export type Pieces = ReadableStream<Uint8Array> | MessagePort;

/** A weights file that is read while it arrives, once. */
export interface ArrivingFile {
  kind: 'arriving';
  size: number;
  pieces: Pieces;
  checksum?: string | undefined;
}

/** A blob as its pieces. */
export function arrivingOf(file: WeightsFile & { kind: 'blob' | 'arriving' }): ArrivingFile {
  if (file.kind === 'arriving') return file;
  const { blob, checksum } = file;
  return { kind: 'arriving', size: blob.size, pieces: blob.stream(), checksum };
}

export function unreadableFile(cause: unknown): WimmError {
  return new WimmError('ERR_NETWORK', 'a weights file cannot be read', { cause, retryable: true });
}

type Message = { piece: Uint8Array } | { end: true } | { error: WimmErrorData };

/** Sends what a stream gives, until `signal` is aborted. */
export async function sendPieces(pieces: Pieces, port: MessagePort, signal: AbortSignal): Promise<void> {
  const reader = streamOf(pieces).getReader();
  const post = (message: Message, transfer: Transferable[] = []) => port.postMessage(message, transfer);
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  try {
    for (;;) {
      const { done, value: piece } = await reader.read();
      if (done) break;
      post({ piece }, [piece.buffer as ArrayBuffer]);
    }
    post({ end: true });
  } catch (cause) {
    post({ error: (cause instanceof WimmError ? cause : unreadableFile(cause)).toJSON() });
  } finally {
    signal.removeEventListener('abort', cancel);
    port.close();
  }
}

/** The stream itself, or one of what comes through the port. */
export function streamOf(port: Pieces): ReadableStream<Uint8Array> {
  if (!('postMessage' in port)) return port;
  return new ReadableStream({
    start(controller) {
      port.onmessage = ({ data }: MessageEvent<Message>) => {
        if ('piece' in data) controller.enqueue(data.piece);
        else if ('end' in data) controller.close();
        else controller.error(WimmError.from(data.error));
      };
    },
    cancel() {
      port.onmessage = null; // some may be on their way
      port.close();
    },
  });
}
