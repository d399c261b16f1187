// Transposed convolutions: each pixel of the result gathers those of the input whose kernels reach it.
#include <algorithm>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class ConvTranspose2dKernel final : public Kernel {
 public:
  ConvTranspose2dKernel(const ConvTranspose2d& op, int64_t in_channels, ParameterReader& reader)
      : op_(op), in_channels_(in_channels), out_group_(op.out_channels / op.groups), bias_(reader.read(op.bias)) {
    const std::vector<float> weight = reader.read(op.weight);
    const int64_t taps = op.kernel * op.kernel, rows = in_channels * out_group_;
    weight_.resize(weight.size());
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t tap = 0; tap < taps; ++tap) weight_[tap * rows + row] = weight[row * taps + tap];
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t pixels = out_[1] * out_[2];
    pool.parallel_for(out_[0] * pixels, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* image = inputs[0] + i / pixels * in_[1] * in_[2] * in_channels_;
        gather(image, i % pixels / out_[2], i % out_[2], output + i * op_.out_channels);
      }
    });
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }

 private:
  // The row (column) of the input that reaches one of the result by a tap, or -1.
  int64_t source(int64_t i, int64_t tap, int64_t size) const {
    const int64_t at = i + op_.padding - tap;
    return at >= 0 && at % op_.stride == 0 && at / op_.stride < size ? at / op_.stride : -1;
  }

  void gather(const float* image, int64_t y, int64_t x, float* out) const {
    std::copy(bias_.begin(), bias_.end(), out);
    for (int64_t i = 0; i < op_.kernel; ++i)
      for (int64_t j = 0; j < op_.kernel; ++j) {
        const int64_t row = source(y, i, in_[1]), column = source(x, j, in_[2]);
        if (row < 0 || column < 0) continue;
        add(image + (row * in_[2] + column) * in_channels_, &weight_[(i * op_.kernel + j) * in_channels_ * out_group_],
            out);
      }
  }

  void add(const float* pixel, const float* weight, float* out) const {
    if (out_group_ == 1 && in_channels_ == op_.groups) {  // depthwise
      for (int64_t c = 0; c < in_channels_; ++c) out[c] += pixel[c] * weight[c];
      return;
    }
    const int64_t in_group = in_channels_ / op_.groups;
    for (int64_t c = 0; c < in_channels_; ++c, weight += out_group_)
      add_scaled(weight, pixel[c], out_group_, out + c / in_group * out_group_);
  }

  ConvTranspose2d op_;
  int64_t in_channels_, out_group_;
  std::vector<float> weight_, bias_;  // [taps, in, out / groups], [out]
  Shape in_, out_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const ConvTranspose2d& op, int64_t in_channels, ParameterReader& reader) {
  return std::make_unique<ConvTranspose2dKernel>(op, in_channels, reader);
}

}  // namespace wimm
