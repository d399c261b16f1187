// Four floats at a time, through the compilers' vector extension: SSE natively, SIMD128 in WebAssembly.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace wimm {

using f32x4 = float __attribute__((vector_size(16)));
using i32x4 = int32_t __attribute__((vector_size(16)));

inline f32x4 load(const float* from) {
  f32x4 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store(float* to, f32x4 value) { std::memcpy(to, &value, sizeof value); }
// The first `width` of eight floats, fewer than eight: apart, since it is seldom needed.
[[gnu::noinline]] inline void store_first_columns(float* to, f32x4 low, f32x4 high, ptrdiff_t width) {
  for (ptrdiff_t i = 0; i < width; ++i) to[i] = i < 4 ? low[i] : high[i - 4];
}
// The first `width` of eight floats.
inline void store_columns(float* to, f32x4 low, f32x4 high, ptrdiff_t width) {
  if (width < 8) return store_first_columns(to, low, high, width);
  store(to, low);
  store(to + 4, high);
}
// Columns become rows.
inline void transpose(f32x4 (&rows)[4]) {
  const f32x4 low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const f32x4 high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const f32x4 low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const f32x4 high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  rows[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  rows[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  rows[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}
inline f32x4 splat(float value) { return f32x4{value, value, value, value}; }
// A float as a template's argument.
struct FloatBits {
  uint32_t bits;
  consteval FloatBits(float value) : bits(std::bit_cast<uint32_t>(value)) {}
};
template <FloatBits number>
inline float in_memory = std::bit_cast<float>(number.bits);
// The same for a constant in a loop. V8 makes a vector constant anew from immediates wherever it stands, which costs
// several instructions: from memory, of which no compiler knows that nothing writes it, it takes one.
template <FloatBits number>
f32x4 constant() {
#ifdef __wasm__
  return splat(in_memory<number>);
#else
  return splat(std::bit_cast<float>(number.bits));
#endif
}
inline f32x4 max(f32x4 a, f32x4 b) { return a > b ? a : b; }
inline f32x4 min(f32x4 a, f32x4 b) { return a < b ? a : b; }
// x between two numbers; NaN stays NaN.
inline f32x4 clamp(f32x4 x, f32x4 low, f32x4 high) { return min(high, max(low, x)); }
inline f32x4 abs(f32x4 x) { return (f32x4)((i32x4)x & 0x7fffffff); }
// a · b + c, in one instruction where the build allows it.
inline f32x4 multiply_add(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
  return a * b + c;
#endif
}
#if defined(__wasm__) && !defined(__wasm_relaxed_simd__)
inline constexpr bool has_fused_multiply_add = false;
#else
inline constexpr bool has_fused_multiply_add = true;
#endif
// y += factor · x
inline void add_scaled(const float* x, float factor, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}
inline float sum(f32x4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }
inline float largest(f32x4 x) {
  x = max(x, __builtin_shufflevector(x, x, 2, 3, 0, 1));
  return max(x, __builtin_shufflevector(x, x, 1, 0, 3, 2))[0];
}
inline float smallest(f32x4 x) { return -largest(-x); }

// eˣ = 2ⁿ · 2ᶠ, with n an integer, |f| ≤ ½, and the polynomial of degree 5 that is closest to 2ᶠ: relative error below
// 7e-7 for |x| ≤ 8, 4e-6 at the ends; saturates outside [-87, 88].
inline f32x4 exp(f32x4 x) {
  x = clamp(x, constant<-87.0f>(), constant<88.0f>());
  const f32x4 log2e = constant<1.44269504088896341f>();
  const f32x4 rounder = constant<12582912.0f>();  // 1.5 · 2²³: adding it rounds to an integer, kept in the lowest bits
  const f32x4 shifted = multiply_add(x, log2e, rounder), f = multiply_add(x, log2e, rounder - shifted);
  f32x4 p = multiply_add(f, constant<1.3276472e-3f>(), constant<9.6755410e-3f>());
  p = multiply_add(f, p, constant<5.5507131e-2f>());
  p = multiply_add(f, p, constant<2.4022120e-1f>());
  p = multiply_add(f, p, constant<6.9314694e-1f>());
  p = multiply_add(f, p, constant<1.0000001f>());
  return (f32x4)((i32x4)p + ((i32x4)shifted << 23));
}

inline f32x4 sigmoid(f32x4 x) { return constant<1.0f>() / (constant<1.0f>() + exp(-x)); }
inline f32x4 tanh(f32x4 x) { return constant<2.0f>() * sigmoid(x + x) - constant<1.0f>(); }

// A rational function of the least largest error, 4e-7 in float32; it is odd, and precise near 0.
inline f32x4 erf(f32x4 x) {
  x = clamp(x, constant<-4.0f>(), constant<4.0f>());
  const f32x4 square = x * x;
  f32x4 p = multiply_add(square, constant<1.9217171e-8f>(), constant<-1.9903221e-6f>());
  p = multiply_add(p, square, constant<1.5553732e-4f>());
  p = multiply_add(p, square, constant<4.2930760e-3f>());
  p = multiply_add(p, square, constant<5.2433545e-2f>());
  p = multiply_add(p, square, constant<2.1394526e-1f>());
  p = multiply_add(p, square, constant<1.1283787f>());
  f32x4 q = multiply_add(square, constant<1.0980434e-3f>(), constant<1.5551139e-2f>());
  q = multiply_add(q, square, constant<1.2079986e-1f>());
  q = multiply_add(q, square, constant<5.2293171e-1f>());
  q = multiply_add(q, square, constant<1.0f>());
  return x * p / q;
}

// y[i] = function(x[i], i) for i in [begin, end), four at a time. The last may read past the end, but never writes
// there. (Indices of the machine's size: 64-bit ones cost WebAssembly more than many a function.)
template <class Function>
void map4(const float* x, float* y, ptrdiff_t begin, ptrdiff_t end, Function&& function) {
  for (ptrdiff_t i = begin; i < end; i += 4) {
    const f32x4 value = function(load(x + i), i);
    if (i + 4 <= end) {
      store(y + i, value);
    } else {
      for (ptrdiff_t k = 0; i + k < end; ++k) y[i + k] = value[k];
    }
  }
}

}  // namespace wimm
