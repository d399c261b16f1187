// Products of matrices that are both values, and the softmax over tokens.
#include <algorithm>
#include <limits>

#include "kernels/attention_tiles.h"
#include "kernels/gemm_tile.h"
#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// Each task is a panel of eight columns of a head's result.
class MatMulKernel final : public Kernel {
 public:
  explicit MatMulKernel(const MatMul& op) : op_(op) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    rows_ = output[1];
    a_rows_ = inputs[0][1];
    b_rows_ = inputs[1][1];
    a_width_ = inputs[0][2];
    width_ = output[2];
    columns_ = width_ / op_.heads;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t panels = round_up(columns_, panel_columns) / panel_columns;
    const int64_t depth = a_width_ / op_.heads;
    pool.parallel_for(images_ * op_.heads * panels, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> packed(static_cast<size_t>(b_rows_ * panel_columns));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / panels / op_.heads, head = i / panels % op_.heads;
        const int64_t column = i % panels * panel_columns, place = head * columns_ + column;
        const float* a = inputs[0] + image * a_rows_ * a_width_ + head * depth;
        pack(inputs[1] + image * b_rows_ * width_ + place, packed.data());
        float* out = output + image * rows_ * width_ + place;
        const int64_t width = std::min(panel_columns, columns_ - column);
        op_.transposed ? multiply_transposed(a, packed.data(), out, width) : multiply(a, packed.data(), out, width);
      }
    });
  }

 private:
  void pack(const float* b, float* packed) const {
    for (int64_t row = 0; row < b_rows_; ++row)
      std::copy_n(b + row * width_, panel_columns, packed + row * panel_columns);
  }

  void multiply(const float* a, const float* panel, float* y, int64_t width) const {
    for_each_part(rows_, most_tile_rows, [&](int64_t first, int64_t count) {
      const float* rows[most_tile_rows] = {};
      float products[most_tile_rows * panel_columns];
      for (int64_t r = 0; r < count; ++r) rows[r] = a + (first + r) * a_width_;
      multiply_panels(rows, count, b_rows_, panel, panel_columns, products);
      for (int64_t r = 0; r < count; ++r) std::copy_n(products + r * panel_columns, width, y + (first + r) * width_);
    });
  }

  // Runs of a's rows are summed apart, so that large sums lose nothing to small terms.
  void multiply_transposed(const float* a, const float* panel, float* y, int64_t width) const {
    constexpr int64_t run = 64;
    for (int64_t first = 0; first < rows_; first += tile_rows) {
      f32x4 low[tile_rows] = {}, high[tile_rows] = {};
      for (int64_t begin = 0; begin < a_rows_; begin += run) {
        f32x4 part_low[tile_rows] = {}, part_high[tile_rows] = {};
        add_transposed_product(a + begin * a_width_ + first, a_width_, panel + begin * panel_columns, panel_columns,
                               std::min(run, a_rows_ - begin), part_low, part_high);
        for (int64_t r = 0; r < tile_rows; ++r) {
          low[r] += part_low[r];
          high[r] += part_high[r];
        }
      }
      for (int64_t r = 0; r < std::min(tile_rows, rows_ - first); ++r)
        store_columns(y + (first + r) * width_, low[r], high[r], static_cast<ptrdiff_t>(width));
    }
  }

  MatMul op_;
  int64_t images_ = 0, rows_ = 0, columns_ = 0, width_ = 0;  // of the result; columns of a head
  int64_t a_rows_ = 0, a_width_ = 0, b_rows_ = 0;
};

// Each task takes eight channels of an image.
class SoftmaxTokensKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    shape_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = shape_[2], strips = round_up(channels, strip) / strip;
    pool.parallel_for(shape_[0] * strips, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> values(static_cast<size_t>(shape_[1] * strip));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % strips * strip, place = i / strips * shape_[1] * channels + first;
        for (int64_t token = 0; token < shape_[1]; ++token)
          std::copy_n(inputs[0] + place + token * channels, strip, &values[static_cast<size_t>(token * strip)]);
        softmax(values);
        const int64_t width = std::min(strip, channels - first);
        for (int64_t token = 0; token < shape_[1]; ++token)
          std::copy_n(&values[static_cast<size_t>(token * strip)], width, output + place + token * channels);
      }
    });
  }

 private:
  static constexpr int64_t strip = 8;

  // Of [tokens, strip].
  static void softmax(std::vector<float>& values) {
    const auto end = values.data() + values.size();
    for (int64_t half = 0; half < strip; half += 4) {
      f32x4 peak = splat(-std::numeric_limits<float>::infinity()), total{};
      for (float* x = values.data() + half; x < end; x += strip) peak = max(peak, load(x));
      for (float* x = values.data() + half; x < end; x += strip) {
        const f32x4 e = exp(load(x) - peak);
        store(x, e);
        total += e;
      }
      for (float* x = values.data() + half; x < end; x += strip) store(x, load(x) / total);
    }
  }

  Shape shape_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MatMul& op) { return std::make_unique<MatMulKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const SoftmaxTokens&) { return std::make_unique<SoftmaxTokensKernel>(); }

}  // namespace wimm
