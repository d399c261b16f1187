// A tile of four rows by eight columns stays in registers. |weights| ≤ 127 and q ≤ 127: two products
// fit 16 bits, 130,000 fit 32.
#include "kernels/int8_gemm.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "kernels/activations.h"
#include "kernels/xnnpack.h"
#ifdef __wasm__
#include <wasm_simd128.h>
#endif

namespace wimm {
namespace {

constexpr int64_t tile_rows = 4, tile_columns = 8;
static_assert(RowChunks::multiple % tile_rows == 0);
constexpr int64_t group = quantized_group;

inline i32x4 load_group(const void* from) {
  int32_t group;
  std::memcpy(&group, from, sizeof group);
  return i32x4{group, group, group, group};
}

// Adds to each of the four sums the products of a group of weights and of the row.
inline i32x4 add_products(i32x4 sums, i32x4 weights, i32x4 row) {
#if defined(__wasm_relaxed_simd__)
  return (i32x4)wasm_i32x4_add(
      (v128_t)sums, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16((v128_t)weights, (v128_t)row)));
#elif defined(__wasm__)
  return (i32x4)wasm_i32x4_add((v128_t)sums, wasm_i32x4_dot_i16x8((v128_t)weights, (v128_t)row));
#else
  const auto low = [](i32x4 pairs) { return pairs << 16 >> 16; };  // sign-extended
  return sums + low(weights) * low(row) + (weights >> 16) * (row >> 16);
#endif
}

}  // namespace

Int8Gemm::Int8Gemm(const FoldedWeights& weights, int64_t depth, Activation activation)
    : depth_(depth),
      padded_depth_((depth + group - 1) / group * group),
      columns_(static_cast<int64_t>(weights.bias.size())),
      panels_((columns_ + tile_columns - 1) / tile_columns),
      activation_(activation),
      packed_(static_cast<size_t>(panels_ * padded_depth_ * tile_columns)),
      bias_(weights.bias),
      scales_(static_cast<size_t>(panels_ * tile_columns)),
      sums_(scales_.size()) {
  std::tie(low_, high_) = output_range(activation);
  bias_.resize(scales_.size());
  std::vector<int8_t> column(static_cast<size_t>(depth));
  for (int64_t c = 0; c < columns_; ++c) {
    scales_[c] = round_to_int8({&weights.weight[c * depth], column.size()}, column);
    Quantized* panel = &packed_[c / tile_columns * padded_depth_ * tile_columns + c % tile_columns * group];
    for (int64_t k = 0; k < depth; ++k) {
      panel[k / group * tile_columns * group + k % group] = column[k];
      sums_[c] += column[k];
    }
  }
}

size_t Int8Gemm::reshape(int64_t rows, const ThreadPool& pool) {
  chunks_.reshape(rows, depth_ + columns_, panels_, pool);
  return static_cast<size_t>(chunks_.pieces() * chunks_.chunk_rows()) * static_cast<size_t>(padded_depth_) *
         sizeof(Quantized);
}

size_t Int8Gemm::weight_bytes() const {
  return packed_.size() * sizeof(Quantized) + (bias_.size() + scales_.size() + sums_.size()) * sizeof(float);
}

void Int8Gemm::multiply(const Quantized* quantized, std::span<const QuantizedScale> scales, int64_t first_panel,
                        int64_t last_panel, float* output, int64_t stride) const {
  const auto count = static_cast<int64_t>(scales.size());
  const f32x4 lowest = splat(low_), highest = splat(high_);
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const int64_t column = p * tile_columns, width = std::min(tile_columns, columns_ - column);
    const Quantized* const panel = &packed_[p * padded_depth_ * tile_columns];
    const Quantized* const end = panel + padded_depth_ * tile_columns;
    for (int64_t first = 0; first < count; first += tile_rows) {
      const Quantized* x[tile_rows];
      i32x4 low[tile_rows] = {}, high[tile_rows] = {};
      for (int64_t r = 0; r < tile_rows; ++r) x[r] = quantized + std::min(first + r, count - 1) * padded_depth_;
#pragma GCC unroll 1
      for (const Quantized* weights = panel; weights != end; weights += tile_columns * group) {
        i32x4 weight_low, weight_high;
        std::memcpy(&weight_low, weights, sizeof weight_low);
        std::memcpy(&weight_high, weights + tile_columns * group / 2, sizeof weight_high);
#pragma GCC unroll 4
        for (int64_t r = 0; r < tile_rows; ++r) {
          const i32x4 row = load_group(x[r]);
          x[r] += group;
          low[r] = add_products(low[r], weight_low, row);
          high[r] = add_products(high[r], weight_high, row);
        }
      }
      for (int64_t r = 0; r < std::min(tile_rows, count - first); ++r) {
        const auto [scale, zero] = scales[first + r];
        const auto finish = [&, scale = scale, zero = zero](i32x4 sums, int64_t c) {
          i32x4 weights;
          std::memcpy(&weights, &sums_[column + c], sizeof weights);
          const f32x4 value = __builtin_convertvector(sums - weights * zero, f32x4);
          const f32x4 y = multiply_add(value, load(&scales_[column + c]) * scale, load(&bias_[column + c]));
          return min(max(y, lowest), highest);
        };
        store_columns(output + (first + r) * stride + column, finish(low[r], 0), finish(high[r], 4), width);
      }
    }
  }
  if (is_clamp(activation_)) return;
  const int64_t begin = first_panel * tile_columns, end = std::min(last_panel * tile_columns, columns_);
  for (int64_t r = 0; r < count; ++r)
    apply_activation(activation_, output + r * stride + begin, output + r * stride + begin, end - begin);
}

}  // namespace wimm
