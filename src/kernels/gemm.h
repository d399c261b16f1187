// Matrix products whose rows may lie anywhere: y = activation(x · weightᵀ + bias).
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/affine.h"

namespace wimm {

class Gemm {
 public:
  // weights.weight is [columns, depth].
  Gemm(const FoldedWeights& weights, int64_t depth, Activation activation);

  // Prepares for so many rows.
  void reshape(int64_t rows, const ThreadPool& pool);
  // Rows of one chunk: at most this many are computed at a time, while they are in cache.
  int64_t chunk_rows() const { return chunk_rows_; }
  // Chunks that are under way at the same time.
  int64_t pieces() const { return pieces_; }

  // Computes all rows of `output`, `stride` floats apart. `locate(first, rows, piece)` fills the span with where rows
  // `first`, `first` + 1, … of x begin.
  template <class Locate>
  void run(float* output, int64_t stride, ThreadPool& pool, Locate&& locate) const {
    const int64_t tasks = chunks_ * splits_;
    pool.parallel_for(pieces_, 1, [&](int64_t begin, int64_t end) {
      const float* rows[most_rows];
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t i = piece * tasks / pieces_; i < (piece + 1) * tasks / pieces_; ++i) {
          const int64_t first = i / splits_ * chunk_rows_, split = i % splits_;
          const std::span chunk(rows, static_cast<size_t>(std::min(chunk_rows_, rows_ - first)));
          locate(first, chunk, piece);
          multiply(chunk, panels_ * split / splits_, panels_ * (split + 1) / splits_, output + first * stride, stride);
        }
    });
  }

  // The same on the caller's thread, for `rows` that lie x_stride floats apart: at most `most_rows`.
  void multiply(const float* x, int64_t x_stride, int64_t rows, float* output, int64_t stride) const;
  static constexpr int64_t most_rows = 256;

  size_t weight_bytes() const { return packed_.size() * sizeof(float); }

 private:
  // Columns of some panels.
  void multiply(std::span<const float* const> rows, int64_t first_panel, int64_t last_panel, float* output,
                int64_t stride) const;

  int64_t depth_, columns_, panels_;
  Activation activation_;
  float low_, high_;           // of results before the activation, where that is a clamp
  std::vector<float> packed_;  // for each panel of eight columns: the bias, then [depth, 8]
  int64_t rows_ = 0, chunk_rows_ = 1, chunks_ = 0, splits_ = 1, pieces_ = 1;
};

}  // namespace wimm
