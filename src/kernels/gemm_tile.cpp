#include "kernels/gemm_tile.h"

#include <algorithm>
#include <iterator>

namespace wimm {
namespace {

// Compilers must not unroll the loop over depth: it fills the registers as it is.
template <int64_t rows>
void multiply(const GemmTile& tile) {
  const float* weights = tile.panels;
  const auto segments = static_cast<ptrdiff_t>(tile.segments), length = static_cast<ptrdiff_t>(tile.length),
             next_segment = static_cast<ptrdiff_t>(tile.distance) - length;
  float* columns = tile.output;
  for (auto width = static_cast<ptrdiff_t>(tile.columns); width > 0; width -= panel_columns, columns += panel_columns) {
    const float* x[rows];
    f32x4 low[rows], high[rows], bias[2] = {};
    if (tile.biased) {
      bias[0] = load(weights);
      bias[1] = load(weights + 4);
      weights += panel_columns;
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r) x[r] = tile.rows[r], low[r] = bias[0], high[r] = bias[1];
    constexpr ptrdiff_t steps = rows == 1 ? 4 : 1;  // of a single row, whose two sums would wait for themselves
    for (ptrdiff_t s = 0; s < segments; ++s) {
      if constexpr (steps > 1) {
        f32x4 more[steps][2] = {};
        for (const float* const end = weights + length / steps * steps * panel_columns; weights != end; x[0] += steps)
#pragma GCC unroll 4
          for (ptrdiff_t i = 0; i < steps; ++i, weights += panel_columns) {
            const f32x4 factor = splat(x[0][i]);
            more[i][0] = multiply_add(factor, load(weights), more[i][0]);
            more[i][1] = multiply_add(factor, load(weights + 4), more[i][1]);
          }
        low[0] += (more[0][0] + more[1][0]) + (more[2][0] + more[3][0]);
        high[0] += (more[0][1] + more[1][1]) + (more[2][1] + more[3][1]);
      }
#pragma GCC unroll 1
      for (const float* const end = weights + (steps > 1 ? length % steps : length) * panel_columns; weights != end;
           weights += panel_columns) {
        const f32x4 weight_low = load(weights), weight_high = load(weights + 4);
#pragma GCC unroll 6
        for (int64_t r = 0; r < rows; ++r) {
          const f32x4 factor = splat(*x[r]++);
          low[r] = multiply_add(factor, weight_low, low[r]);
          high[r] = multiply_add(factor, weight_high, high[r]);
        }
      }
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r) x[r] += next_segment;
    }
    const f32x4 lowest = splat(tile.low), highest = splat(tile.high);
    float* out = columns;
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r, out += tile.stride)
      store_columns(out, min(max(low[r], lowest), highest), min(max(high[r], lowest), highest),
                    std::min(width, static_cast<ptrdiff_t>(panel_columns)));
  }
}

constexpr decltype(&multiply<1>) multiply_rows[] = {nullptr,     multiply<1>, multiply<2>, multiply<3>,
                                                    multiply<4>, multiply<5>, multiply<6>};
static_assert(std::size(multiply_rows) == most_tile_rows + 1);

}  // namespace

void multiply_tile(const GemmTile& tile, int64_t rows) { multiply_rows[rows](tile); }

void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c) {
  multiply_tile({.rows = a, .length = depth, .panels = b, .output = c, .stride = columns, .columns = columns}, rows);
}

}  // namespace wimm
