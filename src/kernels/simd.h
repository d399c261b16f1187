// Four floats at a time, through the compilers' vector extension: SSE natively, SIMD128 in WebAssembly.
#pragma once

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
inline f32x4 splat(float value) { return f32x4{value, value, value, value}; }
inline f32x4 max(f32x4 a, f32x4 b) { return a > b ? a : b; }
inline f32x4 min(f32x4 a, f32x4 b) { return a < b ? a : b; }
inline f32x4 abs(f32x4 x) { return (f32x4)((i32x4)x & 0x7fffffff); }
// a · b + c, in one instruction where the build allows it.
inline f32x4 multiply_add(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
  return a * b + c;
#endif
}
inline float sum(f32x4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }

// eˣ by range reduction to |r| ≤ ln2/2 and a polynomial: relative error below 2e-7; saturates outside [-87, 88].
inline f32x4 exp(f32x4 x) {
  x = min(max(x, splat(-87.0f)), splat(88.0f));
  const f32x4 rounder = splat(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer, kept in the lowest bits
  const f32x4 shifted = multiply_add(x, splat(1.44269504088896341f), rounder), n = shifted - rounder;
  const f32x4 r = multiply_add(n, splat(2.12194440e-4f), multiply_add(n, splat(-0.693359375f), x));
  f32x4 p = splat(1.9875691500e-4f);
  p = multiply_add(p, r, splat(1.3981999507e-3f));
  p = multiply_add(p, r, splat(8.3334519073e-3f));
  p = multiply_add(p, r, splat(4.1665795894e-2f));
  p = multiply_add(p, r, splat(1.6666665459e-1f));
  p = multiply_add(p, r, splat(5.0000001201e-1f));
  p = multiply_add(p * r, r, r) + 1.0f;
  const i32x4 power = ((i32x4)shifted << 23) + 0x3f800000;  // 2ⁿ
  return p * (f32x4)power;
}

inline f32x4 sigmoid(f32x4 x) { return 1.0f / (1.0f + exp(-x)); }
inline f32x4 tanh(f32x4 x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// Abramowitz & Stegun 7.1.26: absolute error below 2e-7.
inline f32x4 erf(f32x4 x) {
  const f32x4 t = 1.0f / (1.0f + 0.3275911f * abs(x));
  const f32x4 poly =
      ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const f32x4 y = 1.0f - poly * exp(-x * x);
  return x < 0.0f ? -y : y;
}

// y[i] = function(x[i], i) for i in [begin, end), four at a time. The last may read past the end, but never writes
// there.
template <class Function>
void map4(const float* x, float* y, int64_t begin, int64_t end, Function&& function) {
  int64_t i = begin;
  for (; i + 4 <= end; i += 4) store(y + i, function(load(x + i), i));
  if (i < end) {
    float tail[4];
    store(tail, function(load(x + i), i));
    for (int64_t k = 0; i + k < end; ++k) y[i + k] = tail[k];
  }
}

}  // namespace wimm
