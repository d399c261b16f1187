// A chunk of rows stays in cache, and takes its activation there.
#include "kernels/gemm.h"

#include <algorithm>
#include <tuple>

#include "kernels/activations.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

constexpr int64_t depth_block = 512;  // whose weights stay in the first cache

// Rows [width, depth] become columns: [depth, 8], zeros beyond `width`. Four by eight at a time, since most of the time
// of loading goes by here, and in the slower tier of new WebAssembly.
void pack_panel(const float* rows, int64_t width, int64_t depth, float* panel) {
  const int64_t whole = width == panel_columns ? depth / 4 * 4 : 0;
  for (int64_t k = 0; k < whole; k += 4)
    for (int64_t half = 0; half < panel_columns; half += 4) {
      f32x4 block[4];
      for (int64_t i = 0; i < 4; ++i) block[i] = load(rows + (half + i) * depth + k);
      transpose(block);
      for (int64_t i = 0; i < 4; ++i) store(panel + (k + i) * panel_columns + half, block[i]);
    }
  for (int64_t k = whole; k < depth; ++k)
    for (int64_t c = 0; c < panel_columns; ++c) panel[k * panel_columns + c] = c < width ? rows[c * depth + k] : 0;
}

}  // namespace

Gemm::Gemm(int64_t columns, int64_t depth, Activation activation)
    : depth_(depth),
      columns_(columns),
      panels_((columns + panel_columns - 1) / panel_columns),
      activation_(activation),
      packed_(std::make_unique_for_overwrite<float[]>(static_cast<size_t>(panels_ * panel_floats()))) {
  std::tie(low_, high_) = output_range(activation_);
}

void Gemm::pack(const FoldedWeights& weights, ThreadPool& pool) {
  pool.parallel_for(panels_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * panel_columns, width = std::min(panel_columns, columns_ - first);
      float* const panel = open_panel(p);
      std::copy_n(&weights.bias[first], width, panel - panel_columns);
      pack_panel(&weights.weight[first * depth_], width, depth_, panel);
    }
  });
}

void Gemm::multiply(const float* x, int64_t x_stride, int64_t rows, float* output, int64_t stride) const {
  const float* pointers[most_rows];
  for (int64_t r = 0; r < rows; ++r) pointers[r] = x + r * x_stride;
  multiply({pointers, static_cast<size_t>(rows)}, 0, panels_, output, stride);
}

void Gemm::multiply(std::span<const float* const> rows, int64_t first_panel, int64_t last_panel, float* output,
                    int64_t stride) const {
  const auto count = static_cast<int64_t>(rows.size());
  f32x4 sums[most_rows][2];
  GemmTile tile{};
  tile.stride = stride;
  tile.low = low_;
  tile.high = high_;
  tile.distance = segments_.distance;
  const int64_t segment = depth_ / segments_.count;
  WeightStream stream(&packed_[first_panel * panel_floats()], packed_.get() + last_panel * panel_floats());
  for (int64_t p = first_panel; p < last_panel; ++p) {
    tile.bias = &packed_[p * panel_floats()];
    tile.weights = tile.bias + panel_columns;
    tile.width = std::min(panel_columns, columns_ - p * panel_columns);
    // A block of the depth is some segments, or a part of one.
    for (int64_t s = 0; s < segments_.count; s += tile.segments) {
      tile.segments = std::clamp<int64_t>(depth_block / segment, 1, segments_.count - s);
      for (int64_t k = 0; k < segment; k += tile.length) {
        tile.length = std::min(depth_block, segment - k);
        tile.offset = s * segments_.distance + k;
        if (count > 1) stream.reach(tile.weights + tile.segments * tile.length * panel_columns);
        const bool last = s + tile.segments == segments_.count && k + tile.length == segment;
        for_each_tile(count, [&](int64_t first, int64_t height) {
          tile.rows = &rows[first];
          tile.sums = &sums[first];
          tile.output = last ? output + first * stride + p * panel_columns : nullptr;
          multiply_tile(tile, height);
        });
        tile.bias = nullptr;
        tile.weights += tile.segments * tile.length * panel_columns;
      }
    }
  }
  if (is_clamp(activation_)) return;
  const int64_t begin = first_panel * panel_columns, end = std::min(last_panel * panel_columns, columns_);
  for (int64_t r = 0; r < count; ++r)
    apply_activation(activation_, output + r * stride + begin, output + r * stride + begin, end - begin);
}

}  // namespace wimm
