#include "kernels/gemm_tile.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wimm {
namespace {

template <int64_t rows>
void multiply(const GemmTile& tile) {
  const float* weights = tile.panels;
  const auto segments = static_cast<ptrdiff_t>(tile.segments), length = static_cast<ptrdiff_t>(tile.length),
             distance = static_cast<ptrdiff_t>(tile.distance);
  float* columns = tile.output;
  for (auto width = static_cast<ptrdiff_t>(tile.columns); width > 0; width -= panel_columns, columns += panel_columns) {
    f32x4 low[rows], high[rows], bias[2] = {};
    if (tile.biased) {
      bias[0] = load(weights);
      bias[1] = load(weights + 4);
      weights += panel_columns;
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r) low[r] = bias[0], high[r] = bias[1];
    for (ptrdiff_t s = 0; s < segments; ++s) {
      const float* x[rows];
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r) x[r] = tile.rows[r] + s * distance;
      const float *const end = weights + length * panel_columns, *const last = end - panel_columns;
      if constexpr (rows == 1) {  // whose two sums would wait for themselves
        constexpr ptrdiff_t steps = 4;
        f32x4 more[steps][2] = {};
        for (const float* const whole = weights + length / steps * steps * panel_columns; weights != whole;
             x[0] += steps)
#pragma GCC unroll 4
          for (ptrdiff_t i = 0; i < steps; ++i, weights += panel_columns) {
            const f32x4 factor = splat(x[0][i]);
            more[i][0] = multiply_add(factor, load(weights), more[i][0]);
            more[i][1] = multiply_add(factor, load(weights + 4), more[i][1]);
          }
        low[0] += (more[0][0] + more[1][0]) + (more[2][0] + more[3][0]);
        high[0] += (more[0][1] + more[1][1]) + (more[2][1] + more[3][1]);
      }
      const auto step = [&](ptrdiff_t i) {
        const f32x4 weight_low = load(weights + i * panel_columns), weight_high = load(weights + i * panel_columns + 4);
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
          if (weights == last) break;
          step(1);
        }
#pragma GCC unroll 6
        for (int64_t r = 0; r < rows; ++r) x[r] += steps;
      }
      weights = end;
    }
    const f32x4 lowest = splat(tile.low), highest = splat(tile.high);
    float* out = columns;
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r, out += tile.stride)
      store_columns(out, clamp(low[r], lowest, highest), clamp(high[r], lowest, highest),
                    std::min(width, static_cast<ptrdiff_t>(panel_columns)));
  }
}

}  // namespace

void multiply_tile(const GemmTile& tile, int64_t rows) {
  static constexpr auto multiply_rows = []<size_t... i>(std::index_sequence<i...>) {
    return std::array{&multiply<static_cast<int64_t>(i) + 1>...};
  }(std::make_index_sequence<most_tile_rows>());
  multiply_rows[rows - 1](tile);
}

void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c) {
  multiply_tile({.rows = a, .length = depth, .panels = b, .output = c, .stride = columns, .columns = columns}, rows);
}

}  // namespace wimm
