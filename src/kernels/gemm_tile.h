// The tiles that matrix products are made of: they stay in registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/simd.h"

namespace wimm {

inline constexpr int64_t panel_columns = 8;
// With as many rows, a tile's sums, two vectors of weights and a factor, and a product where that is not added in the
// same instruction, fill the registers of x86. Fewer sums would not hide the time of a fused multiplication.
inline constexpr int64_t most_tile_rows = has_fused_multiply_add ? 6 : 4;

// Rows of x by the columns of panels of eight, which lie one after the other in memory.
struct GemmTiles {
  const float* const* rows;
  int64_t segments = 1, length, distance = 0;  // of x in each row
  const float* panels;                         // [segments · length, 8] each
  bool biased = false;                         // each begins with the bias of its columns
  float* output;                               // rows `stride` apart, of `columns` between low and high
  int64_t stride, columns;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

// Of so many rows.
void multiply_rows(GemmTiles product, int64_t rows);

// Calls task(first, height, tiles), once or twice, for tiles of at most `most` rows, as few and as equal as can be: for
// 49 rows of at most six, for 4 · 6 and 5 · 5.
template <class Task>
void for_each_height(int64_t rows, int64_t most, Task&& task) {
  const int64_t tiles = (rows + most - 1) / most, height = rows / std::max<int64_t>(tiles, 1),
                taller = rows - tiles * height;
  if (taller > 0) task(0, height + 1, taller);
  if (tiles > taller) task(taller * (height + 1), height, tiles - taller);
}

// Calls task(first, rows) for as few parts of `rows` as there can be of at most `most` each, as equal as can be.
template <class Task>
void for_each_part(int64_t rows, int64_t most, Task&& task) {
  for_each_height(rows, most, [&](int64_t first, int64_t height, int64_t parts) {
    for (; parts > 0; --parts, first += height) task(first, height);
  });
}

// c [rows, columns] = a · b, rows of a anywhere; b in panels of eight columns, [depth, 8] each.
void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c);

}  // namespace wimm
