#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/simd.h"
#ifdef __wasm__
#include <wasm_simd128.h>
#endif

namespace wimm {
namespace {

constexpr float levels = 127;
constexpr size_t at_once = 16;

// Four numbers of [0, 127] in each.
inline void store_levels(i32x4 a, i32x4 b, i32x4 c, i32x4 d, Quantized* to) {
#if defined(__wasm_relaxed_simd__)
  wasm_v128_store(to, wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b),
                                              wasm_i16x8_narrow_i32x4((v128_t)c, (v128_t)d)));
#elif defined(__wasm__)
  wasm_v128_store(to, wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b));
  wasm_v128_store(to + 8, wasm_i16x8_narrow_i32x4((v128_t)c, (v128_t)d));
#else
  for (int i = 0; i < 4; ++i) {
    to[i] = static_cast<Quantized>(a[i]), to[i + 4] = static_cast<Quantized>(b[i]);
    to[i + 8] = static_cast<Quantized>(c[i]), to[i + 12] = static_cast<Quantized>(d[i]);
  }
#endif
}

}  // namespace

std::pair<float, float> range_of(std::span<const float> x) {
  f32x4 low = splat(0), high = splat(0);
  size_t i = 0;
  for (; i + 4 <= x.size(); i += 4) {
    const f32x4 value = load(&x[i]);
    low = min(value, low);
    high = max(value, high);
  }
  float lowest = std::min({low[0], low[1], low[2], low[3]}), highest = std::max({high[0], high[1], high[2], high[3]});
  for (; i < x.size(); ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
  }
  return {lowest, highest};
}

QuantizedScale scale_of(std::pair<float, float> range) {
  const auto [lowest, highest] = range;
  const float scale = (highest - lowest) / levels;
  if (!std::isfinite(scale)) return {std::numeric_limits<float>::quiet_NaN(), 0};
  if (!std::isnormal(scale)) return {0, 0};  // nothing but zeros, or what may count as such
  return {scale, static_cast<int32_t>(std::lround(-lowest / scale))};
}

void quantize(std::span<const float> x, QuantizedScale scale, Quantized* to) {
  const f32x4 factor = splat(scale.scale > 0 ? 1 / scale.scale : 0), offset = splat(static_cast<float>(scale.zero));
  const f32x4 least = splat(0), most = splat(levels);
  const f32x4 rounder = splat(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer, kept in the lowest bits
  const auto levels_of = [&](const float* from) {
    const f32x4 level = min(max(load(from) * factor + offset, least), most);
    return (i32x4)(level + rounder) & 0x7f;
  };
  const auto quantize_all = [&](const float* from, Quantized* target) {
    store_levels(levels_of(from), levels_of(from + 4), levels_of(from + 8), levels_of(from + 12), target);
  };
  size_t i = 0;
  for (; i + at_once <= x.size(); i += at_once) quantize_all(&x[i], to + i);
  if (i == x.size()) return;
  float rest[at_once] = {};
  Quantized last[at_once];
  std::copy(x.begin() + static_cast<ptrdiff_t>(i), x.end(), rest);
  quantize_all(rest, last);
  std::copy_n(last, x.size() - i, to + i);
}

}  // namespace wimm
