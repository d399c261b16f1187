#include "kernels/gemm_tile.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

namespace wimm {
namespace {

// Compilers must not unroll the loop over depth: it fills the registers as it is.
template <int64_t rows>
void multiply(const GemmTile& tile) {
  const float* x[rows];
  f32x4 low[rows], high[rows];
#pragma GCC unroll 6
  for (int64_t r = 0; r < rows; ++r) {
    x[r] = tile.rows[r] + tile.offset;
    low[r] = tile.bias ? load(tile.bias) : tile.sums[r][0];
    high[r] = tile.bias ? load(tile.bias + 4) : tile.sums[r][1];
  }
  const float* weights = tile.weights;
  constexpr int64_t steps = rows == 1 ? 4 : 1;  // of a single row, whose two sums would wait for themselves
  for (int64_t s = 0; s < tile.segments; ++s) {
    if constexpr (steps > 1) {
      f32x4 more[steps][2] = {};
      for (const float* const end = weights + tile.length / steps * steps * panel_columns; weights != end;
           x[0] += steps)
#pragma GCC unroll 4
        for (int64_t i = 0; i < steps; ++i, weights += panel_columns) {
          const f32x4 factor = splat(x[0][i]);
          more[i][0] = multiply_add(factor, load(weights), more[i][0]);
          more[i][1] = multiply_add(factor, load(weights + 4), more[i][1]);
        }
      low[0] += (more[0][0] + more[1][0]) + (more[2][0] + more[3][0]);
      high[0] += (more[0][1] + more[1][1]) + (more[2][1] + more[3][1]);
    }
#pragma GCC unroll 1
    for (const float* const end = weights + (steps > 1 ? tile.length % steps : tile.length) * panel_columns;
         weights != end; weights += panel_columns) {
      const f32x4 weight_low = load(weights), weight_high = load(weights + 4);
#pragma GCC unroll 6
      for (int64_t r = 0; r < rows; ++r) {
        const f32x4 factor = splat(*x[r]++);
        low[r] = multiply_add(factor, weight_low, low[r]);
        high[r] = multiply_add(factor, weight_high, high[r]);
      }
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r) x[r] += tile.distance - tile.length;
  }
  if (!tile.output) {
#pragma GCC unroll 6
    for (int64_t r = 0; r < rows; ++r) tile.sums[r][0] = low[r], tile.sums[r][1] = high[r];
    return;
  }
  const f32x4 lowest = splat(tile.low), highest = splat(tile.high);
  float* out = tile.output;
#pragma GCC unroll 6
  for (int64_t r = 0; r < rows; ++r, out += tile.stride)
    store_columns(out, min(max(low[r], lowest), highest), min(max(high[r], lowest), highest), tile.width);
}

constexpr decltype(&multiply<1>) multiply_rows[] = {nullptr,     multiply<1>, multiply<2>, multiply<3>,
                                                    multiply<4>, multiply<5>, multiply<6>};
static_assert(std::size(multiply_rows) == most_tile_rows + 1);

}  // namespace

void multiply_tile(const GemmTile& tile, int64_t rows) { multiply_rows[rows](tile); }

void bring_to_cache(const std::byte* begin, const std::byte* end) {
  constexpr ptrdiff_t line = 64;
  for (; end - begin >= line; begin += line) {
    int32_t word;
    std::memcpy(&word, begin, sizeof word);
    asm volatile("" ::"r"(word));  // else compilers leave out a load whose result is not used
  }
}

void WeightStream::read_block() {
  constexpr ptrdiff_t block = 64 << 10;
  const std::byte* const begin = next_;
  next_ += std::min(block, end_ - next_);
  bring_to_cache(begin, next_);
}

void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c) {
  constexpr float zeros[panel_columns] = {};
  GemmTile tile{};
  tile.rows = a;
  tile.segments = 1;
  tile.length = depth;
  tile.bias = zeros;
  tile.stride = columns;
  tile.width = panel_columns;
  tile.low = -std::numeric_limits<float>::infinity();
  tile.high = std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < columns; j += panel_columns) {
    tile.weights = b + j * depth;
    tile.output = c + j;
    multiply_tile(tile, rows);
  }
}

}  // namespace wimm
