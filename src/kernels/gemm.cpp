// A tile of four rows by eight columns stays in registers; a chunk of rows stays in cache, and takes its activation
// there.
#include "kernels/gemm.h"

#include <algorithm>
#include <tuple>

#include "kernels/activations.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

constexpr int64_t tile_rows = 4, tile_columns = Gemm::panel_columns;
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

// Rows [width, depth] become columns: [depth, 8], zeros beyond `width`. Four by eight at a time, since most of the time
// of loading goes by here, and in the slower tier of new WebAssembly.
void pack_panel(const float* rows, int64_t width, int64_t depth, float* panel) {
  const int64_t whole = width == tile_columns ? depth / 4 * 4 : 0;
  for (int64_t k = 0; k < whole; k += 4)
    for (int64_t half = 0; half < tile_columns; half += 4) {
      f32x4 block[4];
      for (int64_t i = 0; i < 4; ++i) block[i] = load(rows + (half + i) * depth + k);
      transpose(block);
      for (int64_t i = 0; i < 4; ++i) store(panel + (k + i) * tile_columns + half, block[i]);
    }
  for (int64_t k = whole; k < depth; ++k)
    for (int64_t c = 0; c < tile_columns; ++c) panel[k * tile_columns + c] = c < width ? rows[c * depth + k] : 0;
}

}  // namespace

Gemm::Gemm(int64_t columns, int64_t depth)
    : depth_(depth),
      columns_(columns),
      panels_((columns + tile_columns - 1) / tile_columns),
      activation_(Activation::identity),
      packed_(std::make_unique_for_overwrite<float[]>(static_cast<size_t>(panels_ * panel_floats()))) {
  std::tie(low_, high_) = output_range(activation_);
  for (int64_t p = 0; p < panels_; ++p) std::fill_n(&packed_[p * panel_floats()], tile_columns, 0.0f);
}

Gemm::Gemm(const FoldedWeights& weights, int64_t depth, Activation activation)
    : Gemm(static_cast<int64_t>(weights.bias.size()), depth) {
  activation_ = activation;
  std::tie(low_, high_) = output_range(activation);
  for (int64_t p = 0; p < panels_; ++p) {
    const int64_t first = p * tile_columns, width = std::min(tile_columns, columns_ - first);
    std::copy_n(&weights.bias[first], width, panel_weights(p) - tile_columns);
    pack_panel(&weights.weight[first * depth], width, depth, panel_weights(p));
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
    const float* panel = &packed_[p * panel_floats()];
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
