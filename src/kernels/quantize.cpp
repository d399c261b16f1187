#include "kernels/quantize.h"

#include <algorithm>
#include <limits>

#include "kernels/simd.h"
#ifdef __wasm__
#include <wasm_simd128.h>
#endif

namespace wimm {
namespace {

constexpr float levels = 127;
constexpr ptrdiff_t at_once = 16;
constexpr float rounder = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer, kept in the lowest bits

// Four numbers in each, cut off at 0 and 127.
inline void store_levels(i32x4 a, i32x4 b, i32x4 c, i32x4 d, Quantized* to) {
#ifdef __wasm__
  const v128_t ab = wasm_u16x8_narrow_i32x4((v128_t)a, (v128_t)b), cd = wasm_u16x8_narrow_i32x4((v128_t)c, (v128_t)d);
#ifdef __wasm_relaxed_simd__
  wasm_v128_store(to, wasm_i8x16_narrow_i16x8(ab, cd));
#else
  const v128_t most = wasm_i16x8_const_splat(127);
  wasm_v128_store(to, wasm_i16x8_min(ab, most));
  wasm_v128_store(to + 8, wasm_i16x8_min(cd, most));
#endif
#else
  const i32x4 all[] = {a, b, c, d};
  for (int i = 0; i < at_once; ++i) to[i] = static_cast<Quantized>(std::clamp(all[i / 4][i % 4], 0, 127));
#endif
}

struct Ranges {
  f32x4 low = splat(0), high = splat(0);

  void add(f32x4 x) {
    low = min(x, low);
    high = max(x, high);
  }
};

// The last floats, fewer than four, and zeros.
inline f32x4 load_rest(const float* from, ptrdiff_t count) {
  float rest[4] = {};
  for (ptrdiff_t i = 0; i < count; ++i) rest[i] = from[i];
  return load(rest);
}

struct Scales {
  f32x4 scale, zero;
};

// Of four ranges.
inline Scales scales_of(const Ranges& ranges) {
  const auto choose = [](i32x4 condition, f32x4 a, f32x4 b) {
    return (f32x4)((condition & (i32x4)a) | (~condition & (i32x4)b));
  };
  const f32x4 scale = (ranges.high - ranges.low) / splat(levels), none = splat(0);
  const i32x4 finite = abs(scale) < splat(std::numeric_limits<float>::infinity());
  const i32x4 normal = scale >= splat(std::numeric_limits<float>::min());  // else nothing but what may count as zeros
  const f32x4 zero = (splat(rounder) - ranges.low / scale) - splat(rounder);
  return {choose(finite, choose(normal, scale, none), splat(std::numeric_limits<float>::quiet_NaN())),
          choose(finite & normal, zero, none)};
}

// With scale = 1 / the scale of the numbers, 0 if that is 0.
inline void quantize_row(const float* x, ptrdiff_t count, float scale, float zero, Quantized* to) {
  const f32x4 factor = splat(scale), offset = splat(rounder + zero);
  const i32x4 origin = (i32x4)splat(rounder);
  const auto levels_of = [&](f32x4 value) { return (i32x4)multiply_add(value, factor, offset) - origin; };
  ptrdiff_t i = 0;
  for (; i + at_once <= count; i += at_once)
    store_levels(levels_of(load(x + i)), levels_of(load(x + i + 4)), levels_of(load(x + i + 8)),
                 levels_of(load(x + i + 12)), to + i);
  for (; i < count; i += 4) {
    const i32x4 rest = levels_of(i + 4 <= count ? load(x + i) : load_rest(x + i, count - i));
    Quantized last[at_once];
    store_levels(rest, rest, rest, rest, last);
    std::memcpy(to + i, last, 4 * sizeof(Quantized));
  }
}

inline float inverse(float scale) { return scale > 0 ? 1 / scale : 0; }

}  // namespace

std::pair<float, float> range_of(std::span<const float> x) {
  const auto count = static_cast<ptrdiff_t>(x.size());
  Ranges ranges[4];
  ptrdiff_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (ptrdiff_t k = 0; k < 4; ++k) ranges[k].add(load(&x[i + 4 * k]));
  for (; i + 4 <= count; i += 4) ranges[0].add(load(&x[i]));
  if (i < count) ranges[1].add(load_rest(&x[i], count - i));
  return {smallest(min(min(ranges[0].low, ranges[1].low), min(ranges[2].low, ranges[3].low))),
          largest(max(max(ranges[0].high, ranges[1].high), max(ranges[2].high, ranges[3].high)))};
}

QuantizedScale scale_of(std::pair<float, float> range) {
  const Scales scales = scales_of({splat(range.first), splat(range.second)});
  return {scales.scale[0], scales.zero[0]};
}

void quantize(std::span<const float> x, QuantizedScale scale, Quantized* to) {
  quantize_row(x.data(), static_cast<ptrdiff_t>(x.size()), inverse(scale.scale), scale.zero, to);
}

// Four at a time, whose ranges are found side by side.
void quantize_rows(std::span<const float* const> rows, int64_t count, QuantizedScale* scales, Quantized* to) {
  const auto length = static_cast<ptrdiff_t>(count), padded = static_cast<ptrdiff_t>(padded_count(count));
  for (size_t first = 0; first < rows.size(); first += 4) {
    const size_t height = std::min<size_t>(4, rows.size() - first);
    const float* x[4];
    for (size_t r = 0; r < 4; ++r) x[r] = rows[first + std::min(r, height - 1)];
    Ranges of_row[4];
    ptrdiff_t i = 0;
    for (; i + 4 <= length; i += 4)
      for (size_t r = 0; r < 4; ++r) of_row[r].add(load(x[r] + i));
    if (i < length)
      for (size_t r = 0; r < 4; ++r) of_row[r].add(load_rest(x[r] + i, length - i));
    f32x4 low[] = {of_row[0].low, of_row[1].low, of_row[2].low, of_row[3].low};
    f32x4 high[] = {of_row[0].high, of_row[1].high, of_row[2].high, of_row[3].high};
    transpose(low);
    transpose(high);
    const Scales found =
        scales_of({min(min(low[0], low[1]), min(low[2], low[3])), max(max(high[0], high[1]), max(high[2], high[3]))});
    for (size_t r = 0; r < height; ++r, to += padded) {
      scales[first + r] = {found.scale[r], found.zero[r]};
      quantize_row(x[r], length, inverse(found.scale[r]), found.zero[r], to);
    }
  }
}

}  // namespace wimm
