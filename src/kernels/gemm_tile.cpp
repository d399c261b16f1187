#include "kernels/gemm_tile.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wimm {
namespace {

// Some tiles, one below the other, of so many rows each.
template <int64_t rows>
void multiply_tiles(const GemmTiles& product, int64_t tiles) {
  const auto segments = static_cast<ptrdiff_t>(product.segments), length = static_cast<ptrdiff_t>(product.length),
             distance = static_cast<ptrdiff_t>(product.distance), stride = static_cast<ptrdiff_t>(product.stride),
             columns = static_cast<ptrdiff_t>(product.columns);
  // From the end of a segment to the next one, and from that of the last to the first.
  const ptrdiff_t next = distance - length, back = -length - (segments - 1) * distance;
  const float *const panels = product.panels, lowest = product.low, highest = product.high;
  const bool biased = product.biased;
  const float* const* places = product.rows;
  float* output = product.output;
  for (; tiles > 0; --tiles, places += rows, output += rows * stride) {
    const float* x[rows];
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r) x[r] = places[r];
    const float* weights = panels;
    for (ptrdiff_t column = 0; column < columns; column += panel_columns) {
      f32x4 low[rows], high[rows], bias[2] = {};
      if (biased) {
        bias[0] = load(weights);
        bias[1] = load(weights + 4);
        weights += panel_columns;
      }
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r) low[r] = bias[0], high[r] = bias[1];
#pragma GCC unroll 1
      for (ptrdiff_t left = segments; left != 0;) {
        const float *const end = weights + length * panel_columns, *const last = end - panel_columns;
        ptrdiff_t jump = --left == 0 ? back : next;
        const auto step = [&](ptrdiff_t i) {
          const f32x4 weight_low = load(weights + i * panel_columns),
                      weight_high = load(weights + i * panel_columns + 4);
#pragma GCC unroll 6
          for (int64_t r = 0; r < rows; ++r) {
            const f32x4 factor = splat(x[r][i]);
            low[r] = multiply_add(factor, weight_low, low[r]);
            high[r] = multiply_add(factor, weight_high, high[r]);
          }
        };
        // Two steps move the pointers once for both; the branch between them keeps compilers from mixing them, which
        // takes more registers than there are. Products that need a register of their own leave none for two steps.
        constexpr ptrdiff_t steps = has_fused_multiply_add ? 2 : 1;
#pragma GCC unroll 1
        for (; weights != end; weights += steps * panel_columns) {
          step(0);
          if constexpr (steps == 2) {
            if (weights == last) {
              ++jump;
              break;
            }
            step(1);
          }
#pragma GCC unroll 6
          for (int64_t r = 0; r < rows; ++r) x[r] += steps;
        }
        weights = end;
#pragma GCC unroll 6
        for (int64_t r = 0; r < rows; ++r) x[r] += jump;
      }
      // Few columns take a detour: engines would put code for them behind each store, where it costs all.
      float partial[rows * panel_columns];
      const bool whole = columns - column >= panel_columns;
      float* to = whole ? output + column : partial;
      const ptrdiff_t next_row = whole ? stride : panel_columns;
      const f32x4 low_bound = splat(lowest), high_bound = splat(highest);
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r, to += next_row) {
        store(to, clamp(low[r], low_bound, high_bound));
        store(to + 4, clamp(high[r], low_bound, high_bound));
      }
      if (!whole)
#pragma GCC unroll 1
        for (int64_t r = 0; r < rows; ++r)
          std::copy_n(partial + r * panel_columns, columns - column, output + r * stride + column);
    }
  }
}

// One row. The sums of four panels hide the time of a multiplication, and memory, which is slower than the products,
// gives four streams of weights half as much again as one.
void multiply_row(const GemmTiles& product) {
  constexpr ptrdiff_t together = 4;
  const auto segments = static_cast<ptrdiff_t>(product.segments), length = static_cast<ptrdiff_t>(product.length),
             distance = static_cast<ptrdiff_t>(product.distance), columns = static_cast<ptrdiff_t>(product.columns);
  constexpr auto width = static_cast<ptrdiff_t>(panel_columns);
  const ptrdiff_t panel_floats = (segments * length + product.biased) * width, last_panel = (columns - 1) / width;
  const f32x4 lowest = splat(product.low), highest = splat(product.high);
  for (ptrdiff_t column = 0; column < columns; column += together * width) {
    const float* weights[together];
    f32x4 low[together] = {}, high[together] = {};
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < together; ++i) {
      weights[i] = product.panels + std::min(column / width + i, last_panel) * panel_floats;
      if (!product.biased) continue;
      low[i] = load(weights[i]);
      high[i] = load(weights[i] + 4);
      weights[i] += width;
    }
    for (ptrdiff_t s = 0; s < segments; ++s) {
      const float* x = product.rows[0] + s * distance;
#pragma GCC unroll 1
      for (const float* const end = x + length; x != end; ++x) {
        const f32x4 factor = splat(*x);
#pragma GCC unroll 4
        for (ptrdiff_t i = 0; i < together; ++i) {
          low[i] = multiply_add(factor, load(weights[i]), low[i]);
          high[i] = multiply_add(factor, load(weights[i] + 4), high[i]);
          weights[i] += width;
        }
      }
    }
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < together; ++i)
      if (const ptrdiff_t left = columns - column - i * width; left > 0)
        store_columns(product.output + column + i * width, clamp(low[i], lowest, highest),
                      clamp(high[i], lowest, highest), std::min(left, width));
  }
}

}  // namespace

void multiply_rows(GemmTiles product, int64_t rows) {
  if (rows == 1) return multiply_row(product);
  static constexpr auto of_height = []<size_t... i>(std::index_sequence<i...>) {
    return std::array{&multiply_tiles<static_cast<int64_t>(i) + 2>...};
  }(std::make_index_sequence<most_tile_rows - 1>());
  const auto [places, output] = std::pair(product.rows, product.output);
  for_each_height(rows, most_tile_rows, [&](int64_t first, int64_t height, int64_t tiles) {
    product.rows = places + first;
    product.output = output + first * product.stride;
    of_height[height - 2](product, tiles);
  });
}

void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c) {
  multiply_rows({.rows = a, .length = depth, .panels = b, .output = c, .stride = columns, .columns = columns}, rows);
}

}  // namespace wimm
