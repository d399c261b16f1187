// Synthetic checkpoints and inputs, the same bits as synthetic.py, which defines them.

/** The 64-bit FNV-1a hash of a text. */
export function fnv1a(text) {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text))
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  return value;
}

/** A 64-bit integer in two halves, each an int32. */
class Bits {
  constructor(value) {
    this.high = Number(value >> 32n) | 0;
    this.low = Number(value & 0xffffffffn) | 0;
  }

  add({ high, low }) {
    const sum = (this.low >>> 0) + (low >>> 0);
    this.high = (this.high + high + (sum > 0xffffffff ? 1 : 0)) | 0;
    this.low = sum | 0;
  }

  // this ^= this >>> count
  mix(count) {
    this.low ^= (this.low >>> count) | (this.high << (32 - count));
    this.high ^= this.high >>> count;
  }

  multiply({ high, low }) {
    const a0 = this.low & 0xffff;
    const a1 = this.low >>> 16;
    const b0 = low & 0xffff;
    const b1 = low >>> 16;
    const middle = a1 * b0 + ((a0 * b0) >>> 16);
    const carry = Math.floor((a0 * b1 + (middle & 0xffff)) / 0x10000) + Math.floor(middle / 0x10000);
    this.high = (Math.imul(this.high, low) + Math.imul(this.low, high) + a1 * b1 + carry) | 0;
    this.low = Math.imul(this.low, low);
  }
}

const increment = new Bits(0x9e3779b97f4a7c15n);
const firstFactor = new Bits(0xbf58476d1ce4e5b9n);
const secondFactor = new Bits(0x94d049bb133111ebn);

/** Calls `use(index, high, low)` with the bits of each element of the tensor `name`. */
function eachElement(name, count, use) {
  const state = new Bits(fnv1a(name));
  const bits = new Bits(0n);
  for (let i = 0; i < count; i++) {
    state.add(increment);
    bits.high = state.high;
    bits.low = state.low;
    bits.mix(30);
    bits.multiply(firstFactor);
    bits.mix(27);
    bits.multiply(secondFactor);
    bits.mix(31);
    use(i, bits.high >>> 0, bits.low >>> 0);
  }
}

function fill(name, count, offset, scale) {
  const values = new Float32Array(count);
  eachElement(name, count, (i, high) => {
    values[i] = offset + scale * ((high >>> 8) * 2 ** -23 - 1);
  });
  return values;
}

const product = (shape) => shape.reduce((count, size) => count * size, 1);

/** A parameter or buffer of a model under timm's name. */
function parameter(name, shape, gain) {
  const count = product(shape);
  const leaf = name.slice(name.lastIndexOf('.') + 1);
  if (leaf === 'num_batches_tracked') return new BigInt64Array(count);
  if (leaf === 'running_var') return fill(name, count, 1, 0.25);
  if (leaf === 'running_mean') return fill(name, count, 0, 0.1);
  if (shape.length >= 2) return fill(name, count, 0, Math.sqrt((3 * gain) / (count / shape[0])));
  return leaf.endsWith('weight') ? fill(name, count, 0.9, 0.2) : fill(name, count, 0, 0.1);
}

/** The tensors of a checkpoint, for what `parameters()` of a model says. */
export function checkpoint(parameters, gain) {
  const tensors = new Map();
  for (const [name, { dtype, shape }] of parameters) {
    tensors.set(name, { dtype: dtype === 'int64' ? 'I64' : 'F32', shape, data: parameter(name, shape, gain) });
  }
  return tensors;
}

/** Float32 values as the bits of float16, rounded to the nearest, ties to even. Subnormal ones are multiples of 2^-24. */
function toHalf(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(values, (value, i) => {
    const sign = (bits[i] >>> 16) & 0x8000;
    if (Math.abs(value) < 2 ** -14) {
      const scaled = Math.abs(value) * 2 ** 24;
      const floor = Math.floor(scaled);
      return sign | (floor + (scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2) ? 1 : 0));
    }
    return sign | roundOff((bits[i] & 0x7fffffff) - (112 << 23), 13);
  });
}

function toBfloat16(values) {
  return Uint16Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (bits) =>
    roundOff(bits, 16),
  );
}

/** `bits` without its last ones, rounded to the nearest, ties to even. */
function roundOff(bits, count) {
  const kept = bits >>> count;
  const rest = bits & (2 ** count - 1);
  return kept + (rest > 2 ** (count - 1) || (rest === 2 ** (count - 1) && kept % 2) ? 1 : 0);
}

/** The same checkpoint with its floats kept in another type, 'float16' or 'bfloat16'. */
export function narrowed(tensors, dtype) {
  const [name, convert] = dtype === 'float16' ? ['F16', toHalf] : ['BF16', toBfloat16];
  return new Map(
    [...tensors].map(([key, tensor]) => [
      key,
      tensor.dtype === 'F32' ? { ...tensor, dtype: name, data: convert(tensor.data) } : tensor,
    ]),
  );
}

/** What the models are given. */
export function images(shape) {
  return { shape, data: fill('input', product(shape), 0, 1.7) };
}

/** The places of a golden's samples in a tensor of `size` elements. */
export function sampleIndices(count, size) {
  const indices = [];
  eachElement('samples', count, (_, high, low) => {
    indices.push(Number(((BigInt(high) << 32n) | BigInt(low)) % BigInt(size)));
  });
  return indices;
}
