// BAT's bilinear transform, rows of cells first.
#include <algorithm>
#include <cmath>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class BilinearTransformKernel final : public Kernel {
 public:
  explicit BilinearTransformKernel(const BilinearTransform& op) : block_(op.block), groups_(op.groups) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    shape_ = output;
    return (element_count(output) / inputs[0][0] + overread_floats) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    const int64_t image = shape_[1] * shape_[2] * shape_[3], matrices = groups_ * block_ * block_;
    auto* mixed = reinterpret_cast<float*>(workspace);
    for (int64_t n = 0; n < shape_[0]; ++n) {
      const std::vector<float> rows = normalised(inputs[1] + n * matrices, block_, 1),
                               columns = normalised(inputs[2] + n * matrices, 1, block_);
      mix_rows(inputs[0] + n * image, rows, mixed, pool);
      mix_columns(mixed, columns, output + n * image, pool);
    }
  }

 private:
  // Each group's sigmoids, divided by the sums of the runs of elements `step` apart; runs begin `stride` apart.
  std::vector<float> normalised(const float* logits, int64_t stride, int64_t step) const {
    std::vector<float> values(static_cast<size_t>(groups_ * block_ * block_));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 1 / (1 + std::exp(-logits[i]));
    for (int64_t g = 0; g < groups_; ++g)
      for (int64_t line = 0; line < block_; ++line) {
        float* first = &values[g * block_ * block_ + line * stride];
        float sum = 0;
        for (int64_t k = 0; k < block_; ++k) sum += first[k * step];
        for (int64_t k = 0; k < block_; ++k) first[k * step] /= sum;
      }
    return values;
  }

  // y[c] = Σ weight(k, group of c) · x[k · step + c] for the channels of a pixel.
  template <class Weight>
  void mix_pixel(const float* x, int64_t step, float* y, Weight&& weight) const {
    const int64_t size = shape_[3] / groups_;
    for (int64_t g = 0; g < groups_; ++g) {
      float* out = y + g * size;
      std::fill_n(out, size, 0.0f);
      for (int64_t k = 0; k < block_; ++k)
        for (int64_t c = 0; c < size; ++c) out[c] += weight(k, g) * x[k * step + g * size + c];
    }
  }

  void mix_rows(const float* x, const std::vector<float>& p, float* y, ThreadPool& pool) const {
    const int64_t line = shape_[2] * shape_[3], cell = shape_[1] / block_;
    pool.parallel_for(shape_[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t column = 0; column < shape_[2]; ++column)
          mix_pixel(x + row % cell * line + column * shape_[3], cell * line, y + row * line + column * shape_[3],
                    [&](int64_t k, int64_t g) { return p[(g * block_ + row / cell) * block_ + k]; });
    });
  }

  void mix_columns(const float* x, const std::vector<float>& q, float* y, ThreadPool& pool) const {
    const int64_t line = shape_[2] * shape_[3], cell = shape_[2] / block_;
    pool.parallel_for(shape_[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t column = 0; column < shape_[2]; ++column)
          mix_pixel(x + row * line + column % cell * shape_[3], cell * shape_[3], y + row * line + column * shape_[3],
                    [&](int64_t k, int64_t g) { return q[(g * block_ + k) * block_ + column / cell]; });
    });
  }

  int64_t block_, groups_;
  Shape shape_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const BilinearTransform& op) {
  return std::make_unique<BilinearTransformKernel>(op);
}

}  // namespace wimm
