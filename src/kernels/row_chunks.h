// How the work of a matrix product is shared out: chunks of rows that stay in cache, their columns split where there
// are fewer chunks than threads want.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/thread_pool.h"

namespace wimm {

class RowChunks {
 public:
  static constexpr int64_t most_rows = 252;  // of a chunk
  static constexpr int64_t multiple = 12;    // of rows, but in the last chunk: of tiles of four rows, or six

  // For rows of so many floats, in and out, and columns in so many panels.
  void reshape(int64_t rows, int64_t row_floats, int64_t panels, const ThreadPool& pool) {
    const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    rows_ = rows;
    panels_ = panels;
    chunks_ = ceil_div(rows, std::clamp<int64_t>(chunk_floats / row_floats, 3 * multiple, most_rows));
    chunk_rows_ = ceil_div(ceil_div(rows, chunks_), multiple) * multiple;
    chunks_ = ceil_div(rows, chunk_rows_);
    const int64_t wanted = pool.size() == 1 ? 1 : pool.size() * pieces_a_thread;
    splits_ = std::clamp<int64_t>(ceil_div(wanted, chunks_), 1, panels_);
    pieces_ = std::min(chunks_ * splits_, wanted);
  }

  int64_t chunk_rows() const { return chunk_rows_; }
  // Pieces of work that are under way at the same time, one after another each.
  int64_t pieces() const { return pieces_; }

  // Calls task(piece, first row, rows, first panel, last panel) for all.
  template <class Task>
  void run(ThreadPool& pool, Task&& task) const {
    const int64_t tasks = chunks_ * splits_;
    pool.parallel_for(pieces_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t i = piece * tasks / pieces_; i < (piece + 1) * tasks / pieces_; ++i) {
          const int64_t first = i / splits_ * chunk_rows_, split = i % splits_;
          task(piece, first, std::min(chunk_rows_, rows_ - first), panels_ * split / splits_,
               panels_ * (split + 1) / splits_);
        }
    });
  }

 private:
  static constexpr int64_t chunk_floats = 64 << 10;
  static constexpr int64_t pieces_a_thread = 4;

  int64_t rows_ = 0, panels_ = 0, chunk_rows_ = multiple, chunks_ = 0, splits_ = 1, pieces_ = 1;
};

}  // namespace wimm
