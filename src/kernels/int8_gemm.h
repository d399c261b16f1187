// Matrix products in integers: weights of 8 bits with a scale for each column, rows of 7 bits with scales of their own.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/affine.h"
#include "kernels/gemm_tile.h"
#include "kernels/quantize.h"
#include "kernels/row_chunks.h"

namespace wimm {

// As Gemm: y = activation(x · weightᵀ + bias). A row of x is `taps` times so many channels, each time in
// padded_count(channels) elements.
class Int8Gemm {
 public:
  // weights.weight is [columns, taps, channels].
  Int8Gemm(const FoldedWeights& weights, int64_t taps, int64_t channels, Activation activation, ThreadPool& pool);

  // Where a row lies: segments of so many elements, each so far from where the row begins.
  struct Segments {
    int64_t length = 0;
    std::vector<int64_t> offsets;
  };

  // Prepares `run_quantized` for so many rows.
  void reshape(int64_t rows, const ThreadPool& pool, Segments segments);
  // Prepares `run` for so many rows, of one tap. Returns the bytes of workspace that it needs.
  size_t reshape(int64_t rows, const ThreadPool& pool);

  // `locate(first, rows, scales)` fills the spans with where rows `first`, `first` + 1, … of x begin, and their scales.
  template <class Locate>
  void run_quantized(float* output, int64_t stride, ThreadPool& pool, Locate&& locate) const {
    chunks_.run(pool, [&](int64_t first, int64_t rows, int64_t first_panel, int64_t last_panel) {
      const Quantized* pointers[RowChunks::most_rows];
      QuantizedScale scales[RowChunks::most_rows];
      const std::span chunk(pointers, static_cast<size_t>(rows));
      locate(first, chunk, std::span(scales, chunk.size()));
      multiply(chunk, scales, first_panel, last_panel, output + first * stride, stride);
    });
  }

  // As Gemm's; every row is quantised by its own range.
  template <class Locate>
  void run(float* output, int64_t stride, std::byte* workspace, ThreadPool& pool, Locate&& locate) {
    auto* const quantized = reinterpret_cast<Quantized*>(workspace);
    const auto rows_in_all = static_cast<int64_t>(scales_.size());
    pool.parallel_for(
        rows_in_all, std::max<int64_t>(4, rows_in_all / (pool.size() * 4)), [&](int64_t begin, int64_t end) {
          const float* pointers[RowChunks::most_rows];
          for (int64_t first = begin; first < end; first += RowChunks::most_rows) {
            const std::span rows(pointers, static_cast<size_t>(std::min(RowChunks::most_rows, end - first)));
            locate(first, rows);
            quantize_rows(rows, channels_, &scales_[first], quantized + first * segments_.length);
          }
        });
    run_quantized(output, stride, pool,
                  [&](int64_t first, std::span<const Quantized*> rows, std::span<QuantizedScale> scales) {
                    for (size_t r = 0; r < rows.size(); ++r)
                      rows[r] = quantized + (first + static_cast<int64_t>(r)) * segments_.length;
                    std::copy_n(&scales_[first], scales.size(), scales.begin());
                  });
  }

  size_t weight_bytes() const;

  // Whether this build uses an instruction for sums of products of bytes, and the processor has it.
  static bool has_fused_products();

 private:
  // Of eight columns.
  struct ColumnTerms {
    float scale[panel_columns], weight_sum[panel_columns], bias[panel_columns];
  };
  struct Tiles;
  static bool fused_products_are_exact();
  template <class Products, int64_t rows>
  static void multiply_tiles(const Tiles& product, int64_t tiles);
  template <class Products>
  void multiply_by(std::span<const Quantized* const> rows, const QuantizedScale* scales, int64_t first_panel,
                   int64_t last_panel, float* output, int64_t stride) const;

  void multiply(std::span<const Quantized* const> rows, const QuantizedScale* scales, int64_t first_panel,
                int64_t last_panel, float* output, int64_t stride) const;

  int64_t channels_, depth_, columns_;  // the depth in elements
  Activation activation_;
  float low_, high_;                // of results before the activation, where that is a clamp
  std::vector<ColumnTerms> terms_;  // of each panel of eight columns
  std::vector<Quantized> packed_;   // for each panel: [depth / group, 8, group]
  Segments segments_;
  std::vector<QuantizedScale> scales_;  // of each row that `run` quantises
  RowChunks chunks_;
};

}  // namespace wimm
