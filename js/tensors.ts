// Checks tensors that come from outside, so that what is checked is what is computed with.

import { WimmError } from './errors.js';
import { describe } from './options.js';
import type { Tensor } from './types.js';

// The getters of the platform, which no object can override.
const typedArray = Object.getPrototypeOf(Float32Array.prototype) as object;
const lengthOf = Object.getOwnPropertyDescriptor(typedArray, 'length')!.get!;
const bufferOf = Object.getOwnPropertyDescriptor(typedArray, 'buffer')!.get!;
const offsetOf = Object.getOwnPropertyDescriptor(typedArray, 'byteOffset')!.get!;
const kindOf = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)!.get!;

const maxElements = 2 ** 30; // 4 GiB of float32, all that a WebAssembly memory holds

/** '[1, 3, 224, 224]' */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function shapeError(message: string): WimmError {
  return new WimmError('ERR_INPUT_SHAPE', message);
}

function readShape(call: string, value: unknown): number[] {
  if (!Array.isArray(value)) throw shapeError(`${call}: shape must be an array of integers, got ${describe(value)}`);
  if (value.length > 16) throw shapeError(`${call}: a shape of ${value.length} dimensions is too long`);
  const shape = Array.from(value as unknown[]);
  if (!shape.every((size) => Number.isSafeInteger(size) && (size as number) > 0)) {
    throw shapeError(
      `${call}: every dimension must be a positive integer, got ${formatShape(shape.map(String) as unknown as number[])}`,
    );
  }
  return shape as number[];
}

/**
 * The tensor `x`, in objects of our own, but for the memory of its data, which its owner may change once it runs again.
 * Errors: input_shape, input_dtype, input_detached, invalid_argument.
 */
export function readTensor(call: string, x: unknown): Tensor {
  if (typeof x !== 'object' || x === null) {
    throw new WimmError(
      'ERR_INVALID_ARGUMENT',
      `${call}: the input must be { data: Float32Array, shape }, got ${describe(x)}`,
    );
  }
  let data: unknown;
  let shape: number[];
  try {
    const given = x as Partial<Tensor>;
    shape = readShape(call, given.shape);
    data = given.data;
  } catch (cause) {
    if (cause instanceof WimmError) throw cause;
    throw new WimmError('ERR_INVALID_ARGUMENT', `${call}: the input cannot be read`, { cause });
  }
  // From here on no code of the caller's runs.
  const kind = ArrayBuffer.isView(data) ? (kindOf.call(data) as string | undefined) : undefined;
  if (kind !== 'Float32Array') {
    throw new WimmError(
      'ERR_INPUT_DTYPE',
      `${call}: data must be a Float32Array, got ${kind ? `a ${kind}` : describe(data)}`,
    );
  }
  return { data: readData(call, data as Float32Array, shape), shape };
}

export function copyTensor({ data, shape }: Tensor): Tensor {
  return { data: data.slice(), shape };
}

function readData(call: string, data: Float32Array, shape: number[]): Float32Array {
  const length = lengthOf.call(data) as number;
  const expected = shape.reduce((product, size) => product * size, 1);
  if (length === 0)
    throw new WimmError('ERR_INPUT_DETACHED', `${call}: data is empty: its buffer has been transferred or shrunk`);
  if (length !== expected) {
    throw shapeError(`${call}: shape ${formatShape(shape)} has ${expected} elements, but data has ${length}`);
  }
  if (length > maxElements)
    throw new WimmError('ERR_LIMIT_EXCEEDED', `${call}: ${length} elements are more than ${maxElements}`);
  return new Float32Array(bufferOf.call(data) as ArrayBuffer, offsetOf.call(data) as number, length);
}
