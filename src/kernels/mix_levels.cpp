// Focal modulation's gated sum of contexts.
#include <algorithm>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class MixLevelsKernel final : public Kernel {
 public:
  explicit MixLevelsKernel(const MixLevels& op) : op_(op) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    channels_ = output[3];
    gate_row_ = inputs[0][3];
    pixels_ = output[1] * output[2];
    rows_ = output[0] * pixels_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const std::span<const float* const> contexts = inputs.subspan(1, inputs.size() - 2);
    pool.parallel_for(rows_, std::max<int64_t>(1, 16'384 / channels_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* gates = inputs[0] + row * gate_row_ + op_.begin;
        const float global_gate = gates[contexts.size()];
        const float* global = inputs.back() + row / pixels_ * channels_;
        map4(global, output + row * channels_, 0, channels_, [&](f32x4 total, int64_t c) {
          total *= global_gate;
          for (size_t i = 0; i < contexts.size(); ++i) total += load(contexts[i] + row * channels_ + c) * gates[i];
          return total;
        });
      }
    });
  }

 private:
  MixLevels op_;
  int64_t channels_ = 0, gate_row_ = 0, pixels_ = 0, rows_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MixLevels& op) { return std::make_unique<MixLevelsKernel>(op); }

}  // namespace wimm
