// How the work of a matrix product is shared out: chunks of rows that stay in cache, their columns split where there
// are fewer chunks than threads want.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm_tile.h"
#include "kernels/thread_pool.h"

namespace wimm {

class RowChunks {
 public:
  static constexpr int64_t most_rows = 252;  // of a chunk

  // For rows of so many floats, in and out, and columns in so many panels.
  void reshape(int64_t rows, int64_t row_floats, int64_t panels, const ThreadPool& pool) {
    const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    rows_ = rows;
    panels_ = panels;
    chunks_ = ceil_div(rows, std::clamp(chunk_floats / row_floats, least_rows, most_rows));
    const int64_t threads = pool.size(), wanted = threads == 1 ? 1 : threads * tasks_a_thread;
    splits_ = std::clamp<int64_t>(ceil_div(wanted, chunks_), 1, panels_);
    while (splits_ < panels_ && chunks_ * splits_ % threads != 0 && chunks_ * splits_ < 2 * wanted) ++splits_;
  }

  // Calls task(first row, rows, first panel, last panel) for all.
  template <class Task>
  void run(ThreadPool& pool, Task&& task) const {
    const int64_t tiles = (rows_ + most_tile_rows - 1) / most_tile_rows;
    pool.parallel_for(chunks_ * splits_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t chunk = i / splits_, split = i % splits_;
        const int64_t first = tiles * chunk / chunks_ * most_tile_rows;
        const int64_t last = std::min(tiles * (chunk + 1) / chunks_ * most_tile_rows, rows_);
        task(first, last - first, panels_ * split / splits_, panels_ * (split + 1) / splits_);
      }
    });
  }

 private:
  static constexpr int64_t chunk_floats = 96 << 10;
  static constexpr int64_t least_rows = 72;  // with fewer, weights are read more often than they repay
  static constexpr int64_t tasks_a_thread = 4;

  int64_t rows_ = 0, panels_ = 0, chunks_ = 0, splits_ = 1;
};

}  // namespace wimm
