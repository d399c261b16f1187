// A chunk of rows stays in cache, and takes its activation there.
#include "kernels/gemm.h"

#include <algorithm>
#include <tuple>

#include "kernels/activations.h"
#include "kernels/prefetch.h"

namespace wimm {
namespace {

constexpr int64_t group_floats = 32 << 10;     // of the weights of some panels, which stay in the second cache
constexpr int64_t activated_floats = 4 << 10;  // of results at a time, which stay in the first cache until then

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

void Gemm::multiply(const float* x, int64_t x_stride, int64_t rows, int64_t first_panel, int64_t last_panel,
                    float* output, int64_t stride) const {
  const float* pointers[most_rows];
  for (int64_t r = 0; r < rows; ++r) pointers[r] = x + r * x_stride;
  multiply({pointers, static_cast<size_t>(rows)}, first_panel, last_panel, output, stride);
}

// A few rows go through a group of panels before the next do: they stay in the first cache, and so do their results,
// whole lines of it.
void Gemm::multiply(std::span<const float* const> rows, int64_t first_panel, int64_t last_panel, float* output,
                    int64_t stride) const {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t group = std::max<int64_t>(1, group_floats / panel_floats());
  WeightStream stream(&packed_[first_panel * panel_floats()], packed_.get() + last_panel * panel_floats());
  for (int64_t panel = first_panel; panel < last_panel; panel += group) {
    const int64_t end = std::min(panel + group, last_panel);
    float* const columns = output + (panel - first_panel) * panel_columns;
    GemmTiles tiles{.rows = rows.data(),
                    .segments = segments_.count,
                    .length = depth_ / segments_.count,
                    .distance = segments_.distance,
                    .panels = &packed_[panel * panel_floats()],
                    .biased = true,
                    .output = columns,
                    .stride = stride,
                    .columns = std::min(end * panel_columns, columns_) - panel * panel_columns,
                    .low = low_,
                    .high = high_};
    if (count > 1) stream.reach(packed_.get() + end * panel_floats());
    const int64_t most = is_clamp(activation_) ? count : std::max(activated_floats / tiles.columns, most_tile_rows);
    for_each_part(count, most, [&](int64_t first, int64_t height) {
      tiles.rows = &rows[first];
      tiles.output = columns + first * stride;
      multiply_rows(tiles, height);
      if (!is_clamp(activation_))
        apply_activation(activation_, Rows<const float>{tiles.output, stride}, {tiles.output, stride}, height,
                         tiles.columns);
    });
  }
}

}  // namespace wimm
