// Images resized, and learned grids added to them.
#include <algorithm>

#include "kernels/kernel.h"
#include "kernels/resample.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class ResizeKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t from = in_[1] * in_[2] * in_[3], to = out_[1] * out_[2] * out_[3];
    pool.parallel_for(in_[0], 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const std::span image(inputs[0] + n * from, static_cast<size_t>(from));
        std::ranges::copy(resample_grid(image, {in_[1], in_[2]}, {out_[1], out_[2]}, in_[3], Resampling::bicubic_sharp),
                          output + n * to);
      }
    });
  }

 private:
  Shape in_, out_;
};

class AddGridKernel final : public Kernel {
 public:
  AddGridKernel(const AddGrid& op, int64_t channels, ParameterReader& reader)
      : op_(op), channels_(channels), learned_(read(op.positions, reader)) {
    if (op.window != no_id) window_ = read(op.window, reader);
  }

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    const Size2d size{output[1], output[2]};
    positions_ = size == op_.grid ? learned_ : resample_grid(learned_, op_.grid, size, channels_, op_.resampling);
    floats_ = static_cast<int64_t>(positions_.size());
    if (!window_.empty())
      for (int64_t i = 0; i < floats_; ++i) {
        const int64_t pixel = i / channels_, y = pixel / size[1] % op_.window_size[0],
                      x = pixel % size[1] % op_.window_size[1];
        positions_[i] += window_[(y * op_.window_size[1] + x) * channels_ + i % channels_];
      }
    positions_.resize(positions_.size() + overread_floats);
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    for (int64_t n = 0; n < images_; ++n)
      pool.parallel_for(floats_, 16'384, [&](int64_t begin, int64_t end) {
        map4(inputs[0] + n * floats_, output + n * floats_, begin, end,
             [&](f32x4 x, int64_t i) { return x + load(&positions_[i]); });
      });
  }

  size_t weight_bytes() const override {
    return (learned_.size() + window_.size() + positions_.size()) * sizeof(float);
  }

 private:
  // Row by row, channels last.
  std::vector<float> read(ParameterId id, ParameterReader& reader) const {
    const std::vector<float> values = reader.read(id);
    if (op_.block != Size2d{}) return joined(values);
    if (!op_.channels_first) return values;
    const auto pixels = static_cast<int64_t>(values.size()) / channels_;
    std::vector<float> result(values.size());
    for (int64_t c = 0; c < channels_; ++c)
      for (int64_t p = 0; p < pixels; ++p) result[p * channels_ + c] = values[c * pixels + p];
    return result;
  }

  // Of blocks, their rows.
  std::vector<float> joined(const std::vector<float>& blocks) const {
    const auto& [height, width] = op_.block;
    const int64_t columns = op_.grid[1], across = columns / width;
    std::vector<float> result;
    for (int64_t y = 0; y < op_.grid[0]; ++y)
      for (int64_t x = 0; x < columns; ++x) {
        const int64_t block = y / height * across + x / width,
                      at = block * height * width + y % height * width + x % width;
        result.insert(result.end(), blocks.begin() + at * channels_, blocks.begin() + (at + 1) * channels_);
      }
    return result;
  }

  AddGrid op_;
  int64_t channels_;
  std::vector<float> learned_, window_, positions_;  // as trained; the same; of these images
  int64_t images_ = 0, floats_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Resize&) { return std::make_unique<ResizeKernel>(); }
std::unique_ptr<Kernel> make_kernel(const AddGrid& op, int64_t channels, ParameterReader& reader) {
  return std::make_unique<AddGridKernel>(op, channels, reader);
}

}  // namespace wimm
