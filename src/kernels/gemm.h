// Matrix products whose rows may lie anywhere: y = activation(x · weightᵀ + bias).
#pragma once

#include <algorithm>
#include <memory>
#include <span>

#include "kernels/affine.h"
#include "kernels/gemm_tile.h"
#include "kernels/row_chunks.h"

namespace wimm {

class Gemm {
 public:
  // Without weights, whose memory is here already: what is read to become them comes behind it, and leaves no gap in
  // the heap. They are to be packed, or put in their place, panel by panel.
  Gemm(int64_t columns, int64_t depth, Activation activation = Activation::identity);

  // weights.weight is [columns, depth].
  void pack(const FoldedWeights& weights, ThreadPool& pool);

  // Where the weights of columns 8 · panel and on go, [depth, 8], which have no bias; anything finite where there is no
  // such column. Its memory is touched here first, by the thread that fills it.
  float* open_panel(int64_t panel) { return std::fill_n(&packed_[panel * panel_floats()], panel_columns, 0.0f); }

  // How a row of x lies in memory: in segments of equal length, each so many floats after the one before.
  struct Segments {
    int64_t count, distance;
  };

  // Prepares for so many rows. Returns the bytes of workspace that `run` needs.
  size_t reshape(int64_t rows, const ThreadPool& pool, Segments segments = {1, 0}) {
    segments_ = segments;
    chunks_.reshape(rows, depth_ + columns_, panels_, pool);
    return 0;
  }

  // Computes all rows of `output`, `stride` floats apart. `locate(first, rows)` fills the span with where rows `first`,
  // `first` + 1, … of x begin.
  template <class Locate>
  void run(float* output, int64_t stride, std::byte*, ThreadPool& pool, Locate&& locate) const {
    chunks_.run(pool, [&](int64_t first, int64_t rows, int64_t first_panel, int64_t last_panel) {
      const float* pointers[most_rows];
      const std::span chunk(pointers, static_cast<size_t>(rows));
      locate(first, chunk);
      multiply(chunk, first_panel, last_panel, output + first * stride + first_panel * panel_columns, stride);
    });
  }

  // The same on the caller's thread, for `rows` that lie x_stride floats apart: at most `most_rows`.
  void multiply(const float* x, int64_t x_stride, int64_t rows, float* output, int64_t stride) const {
    multiply(x, x_stride, rows, 0, panels_, output, stride);
  }
  // The same for the columns of some panels: the first of them is the output's first.
  void multiply(const float* x, int64_t x_stride, int64_t rows, int64_t first_panel, int64_t last_panel, float* output,
                int64_t stride) const;
  static constexpr int64_t most_rows = RowChunks::most_rows;

  size_t weight_bytes() const { return static_cast<size_t>(panels_ * panel_floats()) * sizeof(float); }

 private:
  // Columns of some panels, of which the first is the output's first.
  void multiply(std::span<const float* const> rows, int64_t first_panel, int64_t last_panel, float* output,
                int64_t stride) const;

  int64_t panel_floats() const { return (depth_ + 1) * panel_columns; }

  int64_t depth_, columns_, panels_;
  Activation activation_;
  float low_, high_;                 // of results before the activation, where that is a clamp
  std::unique_ptr<float[]> packed_;  // for each panel of eight columns: the bias, then [depth, 8]
  Segments segments_{1, 0};
  RowChunks chunks_;
};

}  // namespace wimm
