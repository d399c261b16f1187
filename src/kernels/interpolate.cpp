// Images of another size, by the nearest pixel or between the four around.
#include <algorithm>
#include <cstring>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// Where along an axis a position lies: between two of the input, `weight` of the second.
struct Tap {
  int64_t first, second;
  float weight;
};

// PyTorch's rule, in float32 as it has it.
Tap tap(int64_t position, int64_t from, int64_t to, Interpolate::Mode mode) {
  const bool aligned = mode == Interpolate::Mode::bilinear_aligned;
  const float scale = aligned ? static_cast<float>(from - 1) / static_cast<float>(std::max<int64_t>(to - 1, 1))
                              : static_cast<float>(from) / static_cast<float>(to);
  if (mode == Interpolate::Mode::nearest) {
    const auto nearest = std::min(static_cast<int64_t>(static_cast<float>(position) * scale), from - 1);
    return {nearest, nearest, 0};
  }
  const float at = aligned ? static_cast<float>(position) * scale
                           : std::max(0.0f, (static_cast<float>(position) + 0.5f) * scale - 0.5f);
  const auto first = std::min(static_cast<int64_t>(at), from - 1);
  return {first, std::min(first + 1, from - 1), at - static_cast<float>(first)};
}

class InterpolateKernel final : public Kernel {
 public:
  explicit InterpolateKernel(Interpolate::Mode mode) : mode_(mode) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    columns_.clear();
    for (int64_t x = 0; x < out_[2]; ++x) columns_.push_back(tap(x, in_[2], out_[2], mode_));
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(out_[0] * out_[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* image = inputs[0] + i / out_[1] * in_[1] * in_[2] * in_[3];
        row(image, tap(i % out_[1], in_[1], out_[1], mode_), output + i * out_[2] * out_[3]);
      }
    });
  }

 private:
  void row(const float* image, const Tap& rows, float* out) const {
    const int64_t channels = in_[3], line = in_[2] * channels;
    const float *upper = image + rows.first * line, *lower = image + rows.second * line;
    for (const Tap& columns : columns_) {
      if (mode_ == Interpolate::Mode::nearest) {
        std::memcpy(out, upper + columns.first * channels, static_cast<size_t>(channels) * sizeof(float));
      } else {
        map4(upper + columns.first * channels, out, 0, channels, [&](f32x4 a, int64_t c) {
          const f32x4 above = a * (1 - columns.weight) + load(upper + columns.second * channels + c) * columns.weight;
          const f32x4 below = load(lower + columns.first * channels + c) * (1 - columns.weight) +
                              load(lower + columns.second * channels + c) * columns.weight;
          return above * (1 - rows.weight) + below * rows.weight;
        });
      }
      out += channels;
    }
  }

  Interpolate::Mode mode_;
  Shape in_, out_;
  std::vector<Tap> columns_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Interpolate& op) { return std::make_unique<InterpolateKernel>(op.mode); }

}  // namespace wimm
