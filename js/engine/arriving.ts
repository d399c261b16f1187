// A weights file that is read while it arrives.

import { WimmError } from '../errors.js';
import { HeadReader } from '../weights/head.js';
import type { NativeSource } from './native.js';

/** A file of which the first bytes are there. */
export interface Source extends NativeSource {
  received: number;
  /** Resolves once so many bytes are there. */
  until(received: number): Promise<void>;
  /** What comes before is not read any more. */
  drop(before: number): void;
}

/** A file that is there. */
export function wholeSource(source: NativeSource): Source {
  return { ...source, received: source.size, until: async () => {}, drop: () => {} };
}

/** A file in memory; of one with its head alone, no more can be read. */
export function bytesSource(bytes: Uint8Array, size = bytes.length): Source {
  const read = (offset: number, target: Uint8Array) => target.set(bytes.subarray(offset, offset + target.length));
  return wholeSource({ size, read });
}

/** A file in the pieces in which it comes, none of which is copied. */
export class ArrivingSource implements Source {
  received = 0;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #pieces: Uint8Array[] = [];
  /** Of each piece, in the file. */
  readonly #starts: number[] = [];
  readonly #head: HeadReader;

  /** `onReceived` is called after each piece. */
  constructor(
    readonly size: number,
    pieces: ReadableStream<Uint8Array>,
    readonly onReceived: (received: number) => void = () => {},
  ) {
    this.#reader = pieces.getReader();
    this.#head = new HeadReader(size);
  }

  async until(received: number): Promise<void> {
    while (this.received < received) await this.#receive();
  }

  /** Resolves once all is there that comes before the data of its tensors: in some formats that is all of the file. */
  async untilOpen(): Promise<void> {
    while (!this.#head.done && this.received < this.size) await this.#receive();
    if (this.#head.isAbsent) await this.until(this.size);
  }

  async #receive(): Promise<void> {
    const { done, value } = await this.#reader.read();
    if (done) throw new WimmError('ERR_FORMAT_TRUNCATED', `the file ends before byte ${this.size}`);
    this.#pieces.push(value);
    this.#starts.push(this.received);
    this.received += value.length;
    this.#head.push(value);
    this.onReceived(this.received);
  }

  read(offset: number, target: Uint8Array): void {
    let index = this.#starts.findLastIndex((start) => start <= offset);
    for (let done = 0; done < target.length; index++) {
      const piece = this.#pieces[index];
      const begin = offset + done - this.#starts[index];
      const part = piece.subarray(begin, begin + target.length - done);
      target.set(part, done);
      done += part.length;
    }
  }

  drop(before: number): void {
    const kept = this.#pieces.findIndex((piece, i) => this.#starts[i] + piece.length > before);
    this.#pieces.splice(0, kept);
    this.#starts.splice(0, kept);
  }

  /** No more is wanted. */
  cancel(): void {
    void this.#reader.cancel().catch(() => {});
  }
}
