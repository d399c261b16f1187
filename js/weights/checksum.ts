// Whether bytes are those that were written: of what a cache holds, where damage is looked for and not deceit.
// An engine has the same in WebAssembly, for what it reads.

/** Fletcher's two sums, of 32-bit words. A digest takes ten times as long. */
export class Checksum {
  #sum = 0;
  #sumOfSums = 0;

  /** All bytes but the last have to come in multiples of four. */
  add(bytes: Uint8Array): void {
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const count = aligned.length >> 2;
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, count);
    let [sum, sumOfSums] = [this.#sum, this.#sumOfSums];
    for (let i = 0; i < count; i++) {
      sum = (sum + words[i]) | 0;
      sumOfSums = (sumOfSums + sum) | 0;
    }
    for (const byte of aligned.subarray(4 * count)) {
      sum = (sum + byte) | 0;
      sumOfSums = (sumOfSums + sum) | 0;
    }
    [this.#sum, this.#sumOfSums] = [sum, sumOfSums];
  }

  toString(): string {
    return textOfSums(this.#sum, this.#sumOfSums);
  }
}

export function textOfSums(...sums: [sum: number, sumOfSums: number]): string {
  return sums.map((sum) => (sum >>> 0).toString(16).padStart(8, '0')).join('');
}

/** In hexadecimal. */
export function checksumOf(bytes: Uint8Array): string {
  const checksum = new Checksum();
  checksum.add(bytes);
  return checksum.toString();
}

const sliceBytes = 2 ** 21; // the thread of a page adds them in a millisecond

/** As `checksumOf`, and leaves the thread free. */
export async function checksumOfBlob(blob: Blob): Promise<string> {
  const checksum = new Checksum();
  for (let offset = 0; offset < blob.size; offset += sliceBytes)
    checksum.add(new Uint8Array(await blob.slice(offset, offset + sliceBytes).arrayBuffer()));
  return checksum.toString();
}
