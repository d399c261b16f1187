// Matrix products in integers: weights of 8 bits with a scale for each column, rows of 7 bits with scales of their own.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/affine.h"
#include "kernels/quantize.h"
#include "kernels/row_chunks.h"

namespace wimm {

// As Gemm: y = activation(x · weightᵀ + bias).
class Int8Gemm {
 public:
  // weights.weight is [columns, depth].
  Int8Gemm(const FoldedWeights& weights, int64_t depth, Activation activation);

  // Prepares for so many rows. Returns the bytes of workspace that `run` needs.
  size_t reshape(int64_t rows, const ThreadPool& pool);

  // `fill(first, scales, x)` writes rows `first`, `first` + 1, … of x and their scales: each row `row_elements()` after
  // the one before.
  template <class Fill>
  void run_quantized(float* output, int64_t stride, std::byte* workspace, ThreadPool& pool, Fill&& fill) const {
    chunks_.run(pool, [&](int64_t piece, int64_t first, int64_t rows, int64_t first_panel, int64_t last_panel) {
      Quantized* const x = reinterpret_cast<Quantized*>(workspace) + piece * chunks_.chunk_rows() * row_elements();
      QuantizedScale scales[RowChunks::most_rows];
      const std::span chunk(scales, static_cast<size_t>(rows));
      fill(first, chunk, x);
      multiply(x, chunk, first_panel, last_panel, output + first * stride, stride);
    });
  }
  // The depth, rounded up to a group; weights there are zero.
  int64_t row_elements() const { return padded_depth_; }

  // As Gemm's; every row is quantised by its own range.
  template <class Locate>
  void run(float* output, int64_t stride, std::byte* workspace, ThreadPool& pool, Locate&& locate) const {
    run_quantized(output, stride, workspace, pool, [&](int64_t first, std::span<QuantizedScale> scales, Quantized* x) {
      const float* rows[RowChunks::most_rows];
      locate(first, std::span(rows, scales.size()));
      for (size_t r = 0; r < scales.size(); ++r, x += row_elements()) {
        const std::span row(rows[r], static_cast<size_t>(depth_));
        scales[r] = scale_of(range_of(row));
        quantize(row, scales[r], x);
        std::fill(x + depth_, x + row_elements(), Quantized{0});
      }
    });
  }

  size_t weight_bytes() const;

 private:
  void multiply(const Quantized* x, std::span<const QuantizedScale> scales, int64_t first_panel, int64_t last_panel,
                float* output, int64_t stride) const;

  int64_t depth_, padded_depth_, columns_, panels_;
  Activation activation_;
  float low_, high_;                  // of results before the activation, where that is a clamp
  std::vector<Quantized> packed_;     // for each panel of eight columns: [depth / group, 8, group]
  std::vector<float> bias_, scales_;  // of the columns
  std::vector<int32_t> sums_;         // of the columns' weights
  RowChunks chunks_;
};

}  // namespace wimm
