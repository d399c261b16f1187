// The elements of tensors of every type, and their bytes.

import type { DType, StateTensor } from '../types.js';

const arrays = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} satisfies Record<DType, unknown>;

/** Whether `value` is an array that holds elements of `dtype`. */
export function holds(dtype: DType, value: unknown): value is StateTensor['data'] {
  return value instanceof arrays[dtype];
}

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(arrays, value);
}

/** `bytes`, which begin their buffer, as elements. */
export function elementsOf(dtype: DType, bytes: Uint8Array): StateTensor['data'] {
  const Elements = arrays[dtype];
  return new Elements(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / Elements.BYTES_PER_ELEMENT);
}

export function bytesOf({ buffer, byteOffset, byteLength }: StateTensor['data']): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
