// The tile that matrix products are made of: it stays in registers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernels/simd.h"

namespace wimm {

inline constexpr int64_t panel_columns = 8;
// With as many rows, a tile's twelve sums, two vectors of weights and a factor fill the registers of x86. Eight sums,
// of four rows, would just hide the time of a multiplication, and every load would show.
inline constexpr int64_t most_tile_rows = 6;

// Some rows of x by the columns of panels of eight, which lie one after the other in memory.
struct GemmTile {
  const float* const* rows;
  int64_t segments, length, distance;  // of x in each row
  const float* panels;                 // [segments · length, 8] each
  bool biased;                         // each begins with the bias of its columns
  float* output;                       // rows `stride` apart, of `columns` between low and high
  int64_t stride, columns;
  float low, high;
};

// Of 1 to `most_tile_rows` rows.
void multiply_tile(const GemmTile& tile, int64_t rows);

// Asks for all lines of a block at once, before they are read a few at a time, each of which would be waited for:
// WebAssembly has no prefetch.
void bring_to_cache(const std::byte* begin, const std::byte* end);

// Brings weights that tiles read one after the other into cache, from where memory has them, if that was enabled: the
// processor guesses as well what comes next, and where its guesses are good, it is slower to wait for many lines.
class WeightStream {
 public:
  WeightStream(const void* begin, const void* end)
      : next_(static_cast<const std::byte*>(begin)), end_(static_cast<const std::byte*>(end)) {}

  // Of all threads.
  static void enable(bool enabled) { enabled_.store(enabled, std::memory_order_relaxed); }

  // Up to `end` is about to be read.
  void reach(const void* end) {
    while (end > next_ && enabled_.load(std::memory_order_relaxed)) read_block();
  }

 private:
  void read_block();

  inline static std::atomic<bool> enabled_ = false;
  const std::byte *next_, *end_;
};

// Calls task(first, rows) for the tiles of so many rows, which are as equal as can be: 49 rows are 4 · 6 + 5 · 5.
template <int64_t most = most_tile_rows, class Task>
void for_each_tile(int64_t rows, Task&& task) {
  const int64_t tiles = (rows + most - 1) / most;
  for (int64_t first = 0, t = 0; t < tiles; ++t) {
    const int64_t height = rows / tiles + (t < rows % tiles);
    task(first, height);
    first += height;
  }
}

// c [rows, columns] = a · b, at most `most_tile_rows` rows of a anywhere; b in panels of eight columns, [depth, 8]
// each.
void multiply_panels(const float* const* a, int64_t rows, int64_t depth, const float* b, int64_t columns, float* c);

}  // namespace wimm
