// The mixture of splits, channel by channel, that split attention makes.
#include <algorithm>
#include <cmath>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class MixSplitsKernel final : public Kernel {
 public:
  MixSplitsKernel(const MixSplits& op, const Strides& strides)
      : op_(op), stride_(strides.inputs[0]), logit_stride_(strides.inputs[1]) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    channels_ = output.back();
    rows_ = element_count(output) / channels_;
    return static_cast<size_t>(images_ * op_.radix * channels_ + static_cast<int64_t>(overread_floats)) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* gates = reinterpret_cast<float*>(workspace);
    const int64_t splits = op_.radix * channels_, rows_an_image = rows_ / images_;
    for (int64_t n = 0; n < images_; ++n) softmax(inputs[1] + n * logit_stride_, gates + n * splits);
    pool.parallel_for(rows_, std::max<int64_t>(1, 16'384 / splits), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* x = inputs[0] + row * stride_;
        const float* gate = gates + row / rows_an_image * splits;
        map4(x, output + row * channels_, 0, channels_, [&](f32x4 total, int64_t c) {
          total *= load(gate + c);
          for (int64_t r = 1; r < op_.radix; ++r) total += load(x + r * channels_ + c) * load(gate + r * channels_ + c);
          return total;
        });
      }
    });
  }

 private:
  // Of one image, over the radix: logits [groups, radix, C / groups] → gates [radix, C].
  void softmax(const float* logits, float* gates) const {
    const int64_t width = channels_ / op_.groups;
    for (int64_t c = 0; c < channels_; ++c) {
      const float* logit = logits + c / width * op_.radix * width + c % width;
      float largest = logit[0], total = 0;
      for (int64_t r = 1; r < op_.radix; ++r) largest = std::max(largest, logit[r * width]);
      for (int64_t r = 0; r < op_.radix; ++r) total += gates[r * channels_ + c] = std::exp(logit[r * width] - largest);
      for (int64_t r = 0; r < op_.radix; ++r) gates[r * channels_ + c] /= total;
    }
  }

  MixSplits op_;
  int64_t stride_, logit_stride_;  // of pixels, and of images
  int64_t images_ = 0, channels_ = 0, rows_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MixSplits& op, const Strides& strides) {
  return std::make_unique<MixSplitsKernel>(op, strides);
}

}  // namespace wimm
