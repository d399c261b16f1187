// What kernels of attention share: tiles of queries by keys, and the softmax.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/simd.h"

namespace wimm {

inline constexpr int64_t tile_rows = 4, tile_columns = 8;

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// c [4, columns] = a [4, depth] · b [depth, columns]; columns a multiple of 8, rows of a anywhere.
inline void multiply_rows(const float* const* a, int64_t depth, const float* b, int64_t columns, float* c) {
  for (int64_t j = 0; j < columns; j += tile_columns) {
    f32x4 low[tile_rows] = {}, high[tile_rows] = {};
#pragma GCC unroll 1
    for (int64_t i = 0; i < depth; ++i) {
      const f32x4 b_low = load(b + i * columns + j), b_high = load(b + i * columns + j + 4);
#pragma GCC unroll 4
      for (int64_t r = 0; r < tile_rows; ++r) {
        const f32x4 factor = splat(a[r][i]);
        low[r] = multiply_add(factor, b_low, low[r]);
        high[r] = multiply_add(factor, b_high, high[r]);
      }
    }
    for (int64_t r = 0; r < tile_rows; ++r) {
      store(c + r * columns + j, low[r]);
      store(c + r * columns + j + 4, high[r]);
    }
  }
}

// low and high, columns 0 – 3 and 4 – 7 of c [4, 8], += aᵀ · b: a [depth, 4] and b [depth, 8], whose rows lie so many
// floats apart.
inline void add_transposed_product(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t depth,
                                   f32x4 (&low)[tile_rows], f32x4 (&high)[tile_rows]) {
  for (int64_t i = 0; i < depth; ++i, a += a_stride, b += b_stride) {
    const f32x4 b_low = load(b), b_high = load(b + 4);
#pragma GCC unroll 4
    for (int64_t r = 0; r < tile_rows; ++r) {
      low[r] = multiply_add(splat(a[r]), b_low, low[r]);
      high[r] = multiply_add(splat(a[r]), b_high, high[r]);
    }
  }
}

// x[i] = exp((x[i] - max(x)) · scale), which softmax divides by the sum that this returns. count is a multiple of 4.
inline float exponentials(float* x, int64_t count, float scale) {
  f32x4 highest = load(x);
  for (int64_t i = 4; i < count; i += 4) highest = max(highest, load(x + i));
  const f32x4 peak = splat(largest(highest));
  f32x4 total{};
  for (int64_t i = 0; i < count; i += 4) {
    const f32x4 e = exp((load(x + i) - peak) * scale);
    store(x + i, e);
    total += e;
  }
  return sum(total);
}

// The same of `count` values followed by more up to `padded`, a multiple of 4, which become 0.
inline float padded_exponentials(float* x, int64_t count, int64_t padded, float scale) {
  std::fill(x + count, x + padded, -std::numeric_limits<float>::infinity());
  return exponentials(x, padded, scale);
}

}  // namespace wimm
