// The head of a weights file under way: what tells its tensors before their data comes. Safetensors and packs have one; the
// formats of PyTorch do not, whose directory is at the end of the file or whose sizes are between the data.

import type { WeightsHead } from '../engine/engine.js';

const minBytes = 512; // what the reader tells formats apart by
const maxBytes = 100_000_000; // of a head that the reader accepts

/** Gathers the first bytes of a file until the head is whole. */
export class HeadReader {
  #bytes = new Uint8Array(minBytes);
  #length = 0;
  /** Where the head ends; 0 where the file has none. */
  #end: number | undefined;
  #done = false;

  /** `total`: bytes of the file, 0 where that is not known. */
  constructor(readonly total: number) {}

  /** Whether the head is whole, or the file has none. */
  get done(): boolean {
    return this.#done;
  }

  get isAbsent(): boolean {
    return this.#done && this.#end === 0;
  }

  /** Takes the next bytes. Gives the head when these complete it. */
  push(chunk: Uint8Array): WeightsHead | undefined {
    if (this.#done) return undefined;
    const rest = this.#fill(chunk);
    if (this.#end === undefined && this.#isFull) this.#findEnd(rest);
    if (this.#end === undefined || !this.#isFull) return undefined;
    this.#done = true;
    const size = this.total || fileSize(this.#bytes, this.#end);
    return this.#end > 0 && size !== undefined ? { bytes: this.#bytes, size } : undefined;
  }

  get #isFull(): boolean {
    return this.#length === this.#bytes.length;
  }

  #findEnd(rest: Uint8Array): void {
    this.#end = headEnd(this.#bytes) ?? 0;
    if (this.#end <= minBytes || this.#end > maxBytes) return; // a longer one is refused for its length alone
    const first = this.#bytes;
    this.#bytes = new Uint8Array(this.#end);
    this.#bytes.set(first);
    this.#fill(rest);
  }

  /** Gives what is not needed. */
  #fill(chunk: Uint8Array): Uint8Array {
    const part = chunk.subarray(0, this.#bytes.length - this.#length);
    this.#bytes.set(part, this.#length);
    this.#length += part.length;
    return chunk.subarray(part.length);
  }
}

/** Where the head ends, by the first bytes of the file; undefined where it has none. */
function headEnd({ buffer, byteOffset }: Uint8Array): number | undefined {
  const view = new DataView(buffer, byteOffset);
  if (view.getUint32(8) === 0x57494d4d) return 4 + view.getUint32(0, true); // WIMM
  return view.getUint8(8) === 0x7b ? 8 + Number(view.getBigUint64(0, true)) : undefined; // {
}

/** The least bytes that a file has, as its head says; undefined where it does not say. */
function fileSize(bytes: Uint8Array, end: number): number | undefined {
  if (end > bytes.length) return Math.min(end, Number.MAX_SAFE_INTEGER);
  let size = end;
  try {
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))) as Record<string, Partial<Entry>>;
    for (const { data_offsets } of Object.values(header)) size = Math.max(size, end + (data_offsets?.[1] ?? 0));
  } catch {
    return undefined; // for the reader to say what is wrong
  }
  return Number.isSafeInteger(size) ? size : undefined;
}

interface Entry {
  data_offsets: [number, number];
}
