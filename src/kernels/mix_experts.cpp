// The mixture of experts' results that makes conditional convolutions.
#include <algorithm>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class MixExpertsKernel final : public Kernel {
 public:
  explicit MixExpertsKernel(const MixExperts& op) : experts_(op.experts) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    channels_ = output.back();
    rows_ = element_count(output) / channels_;
    rows_an_image_ = rows_ / output[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(rows_, std::max<int64_t>(1, 16'384 / (experts_ * channels_)), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* results = inputs[0] + row * experts_ * channels_;
        const float* weights = inputs[1] + row / rows_an_image_ * experts_;
        map4(results, output + row * channels_, 0, channels_, [&](f32x4 total, int64_t c) {
          total *= weights[0];
          for (int64_t e = 1; e < experts_; ++e) total += load(results + e * channels_ + c) * weights[e];
          return total;
        });
      }
    });
  }

 private:
  int64_t experts_, channels_ = 0, rows_ = 0, rows_an_image_ = 1;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MixExperts& op) { return std::make_unique<MixExpertsKernel>(op); }

}  // namespace wimm
