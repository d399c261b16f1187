// Numbers in 7 bits, for products with weights of 8.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace wimm {

// Where relaxed SIMD multiplies bytes, fours of them are multiplied at once; elsewhere pairs of 16-bit numbers. The
// sums are the same.
#ifdef __wasm_relaxed_simd__
using Quantized = int8_t;
#else
using Quantized = int16_t;
#endif
inline constexpr int64_t quantized_group = 4 / sizeof(Quantized);

// The elements that so many numbers take: whole groups.
constexpr int64_t padded_count(int64_t count) { return (count + 3) / 4 * 4; }

// What q in [0, 127] stands for: x = (q - zero) · scale.
struct QuantizedScale {
  float scale;
  float zero;  // a whole number
};

// The smallest and largest of x and 0.
std::pair<float, float> range_of(std::span<const float> x);
// For numbers of that range. A range that is not finite gives a scale that is NaN.
QuantizedScale scale_of(std::pair<float, float> range);
// x, in the range that `scale` is for, or any numbers where that is not finite. Writes padded_count(x.size()) elements.
void quantize(std::span<const float> x, QuantizedScale scale, Quantized* to);

// Rows of `count` numbers, each by its own range; padded_count(count) elements each.
void quantize_rows(std::span<const float* const> rows, int64_t count, QuantizedScale* scales, Quantized* to);

}  // namespace wimm
