// A tile of four rows by eight columns stays in registers; a chunk of rows stays in cache, and takes its activation
// there.
#include "kernels/gemm.h"

#include <algorithm>
#include <tuple>

#include "kernels/activations.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

constexpr int64_t tile_rows = 4, tile_columns = 8;
static_assert(tile_rows == RowChunks::multiple);
constexpr int64_t depth_block = 512;  // whose weights stay in the first cache

// One tile: adds the product of four rows x and the panel's weights [depth, 8] to low and high. Compilers must not
// unroll the loop over depth: it fills the registers of x86 as it is.
inline void multiply_tile(const float** x, int64_t depth, const float* weights, f32x4* low, f32x4* high) {
#pragma GCC unroll 1
  for (const float* const end = weights + depth * tile_columns; weights != end; weights += tile_columns) {
    const f32x4 weight_low = load(weights), weight_high = load(weights + 4);
#pragma GCC unroll 4
    for (int64_t r = 0; r < tile_rows; ++r) {
      const f32x4 factor = splat(*x[r]++);
      low[r] = multiply_add(factor, weight_low, low[r]);
      high[r] = multiply_add(factor, weight_high, high[r]);
    }
  }
}

}  // namespace

Gemm::Gemm(const FoldedWeights& weights, int64_t depth, Activation activation)
    : depth_(depth),
      columns_(static_cast<int64_t>(weights.bias.size())),
      panels_((columns_ + tile_columns - 1) / tile_columns),
      activation_(activation),
      packed_(static_cast<size_t>(panels_ * (depth + 1) * tile_columns)) {
  std::tie(low_, high_) = output_range(activation);
  for (int64_t c = 0; c < columns_; ++c) {
    float* panel = &packed_[c / tile_columns * (depth + 1) * tile_columns + c % tile_columns];
    panel[0] = weights.bias[c];
    for (int64_t k = 0; k < depth; ++k) panel[(k + 1) * tile_columns] = weights.weight[c * depth + k];
  }
}

void Gemm::multiply(const float* x, int64_t x_stride, int64_t rows, float* output, int64_t stride) const {
  const float* pointers[most_rows];
  for (int64_t r = 0; r < rows; ++r) pointers[r] = x + r * x_stride;
  multiply({pointers, static_cast<size_t>(rows)}, 0, panels_, output, stride);
}

void Gemm::multiply(std::span<const float* const> rows, int64_t first_panel, int64_t last_panel, float* output,
                    int64_t stride) const {
  const auto count = static_cast<int64_t>(rows.size());
  const f32x4 lowest = splat(low_), highest = splat(high_);
  f32x4 sums[most_rows][2];  // of the depth so far
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const float* panel = &packed_[p * (depth_ + 1) * tile_columns];
    const int64_t width = std::min(tile_columns, columns_ - p * tile_columns);
    for (int64_t k = 0; k < depth_; k += depth_block) {
      const int64_t depth = std::min(depth_block, depth_ - k);
      for (int64_t first = 0; first < count; first += tile_rows) {
        const float* x[tile_rows];
        f32x4 low[tile_rows], high[tile_rows];
        for (int64_t r = 0; r < tile_rows; ++r) {
          x[r] = rows[std::min(first + r, count - 1)] + k;
          low[r] = k == 0 ? load(panel) : sums[first + r][0];
          high[r] = k == 0 ? load(panel + 4) : sums[first + r][1];
        }
        multiply_tile(x, depth, panel + (k + 1) * tile_columns, low, high);
        if (k + depth < depth_) {
          for (int64_t r = 0; r < tile_rows; ++r) sums[first + r][0] = low[r], sums[first + r][1] = high[r];
          continue;
        }
        float* out = output + first * stride + p * tile_columns;
        for (int64_t r = 0; r < std::min(tile_rows, count - first); ++r)
          store_columns(out + r * stride, min(max(low[r], lowest), highest), min(max(high[r], lowest), highest), width);
      }
    }
  }
  if (is_clamp(activation_)) return;
  const int64_t begin = first_panel * tile_columns, end = std::min(last_panel * tile_columns, columns_);
  for (int64_t r = 0; r < count; ++r)
    apply_activation(activation_, output + r * stride + begin, output + r * stride + begin, end - begin);
}

}  // namespace wimm
