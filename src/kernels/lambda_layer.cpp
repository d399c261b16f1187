// Lambda layers: a matrix for each pixel, of what all pixels and those around it hold.
#include <algorithm>
#include <cmath>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class LambdaLayerKernel final : public Kernel {
 public:
  LambdaLayerKernel(const LambdaLayer& op, ParameterReader& reader) : op_(op) {
    const std::vector<float> weight = reader.read(op.weight);
    const int64_t taps = op.kernel[0] * op.kernel[1];
    depth_ = static_cast<int64_t>(weight.size()) / taps;
    bias_ = op.bias == no_id ? std::vector<float>(static_cast<size_t>(depth_)) : reader.read(op.bias);
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t k = 0; k < depth_; ++k) weight_.push_back(weight[op.last ? tap * depth_ + k : k * taps + tap]);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    shape_ = inputs[2];
    return static_cast<size_t>(shape_[0] * depth_ * shape_[3]) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    const int64_t pixels = shape_[1] * shape_[2], channels = shape_[3], floats = depth_ * channels;
    auto* contents = reinterpret_cast<float*>(workspace);
    pool.parallel_for(shape_[0], 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        summarize(inputs[1] + n * pixels * depth_, inputs[2] + n * pixels * channels, contents + n * floats);
    });
    pool.parallel_for(shape_[0] * pixels, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> lambda(static_cast<size_t>(floats));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / pixels, pixel = i % pixels;
        std::copy_n(contents + n * floats, floats, lambda.begin());
        look_around(inputs[2] + n * pixels * channels, pixel / shape_[2], pixel % shape_[2], lambda.data());
        const float* queries = inputs[0] + i * op_.heads * depth_;
        float* out = output + i * op_.heads * channels;
        std::fill_n(out, op_.heads * channels, 0.0f);
        for (int64_t h = 0; h < op_.heads; ++h)
          for (int64_t k = 0; k < depth_; ++k)
            add_scaled(&lambda[k * channels], queries[h * depth_ + k], channels, out + h * channels);
      }
    });
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }

 private:
  // The bias, and Σ softmax(key over the pixels) · value.
  void summarize(const float* keys, const float* values, float* content) const {
    const int64_t pixels = shape_[1] * shape_[2], channels = shape_[3];
    std::vector<float> weights(static_cast<size_t>(pixels));
    for (int64_t k = 0; k < depth_; ++k) {
      float peak = keys[k], sum = 0;
      for (int64_t p = 1; p < pixels; ++p) peak = std::max(peak, keys[p * depth_ + k]);
      for (int64_t p = 0; p < pixels; ++p) sum += weights[p] = std::exp(keys[p * depth_ + k] - peak);
      float* row = content + k * channels;
      std::fill_n(row, channels, bias_[k]);
      for (int64_t p = 0; p < pixels; ++p) add_scaled(values + p * channels, weights[p] / sum, channels, row);
    }
  }

  void look_around(const float* values, int64_t y, int64_t x, float* lambda) const {
    const int64_t channels = shape_[3];
    for (int64_t i = 0; i < op_.kernel[0]; ++i)
      for (int64_t j = 0; j < op_.kernel[1]; ++j) {
        const int64_t row = y + i - op_.kernel[0] / 2, column = x + j - op_.kernel[1] / 2;
        if (row < 0 || column < 0 || row >= shape_[1] || column >= shape_[2]) continue;
        const float *value = values + (row * shape_[2] + column) * channels,
                    *weight = &weight_[(i * op_.kernel[1] + j) * depth_];
        for (int64_t k = 0; k < depth_; ++k) add_scaled(value, weight[k], channels, lambda + k * channels);
      }
  }

  LambdaLayer op_;
  int64_t depth_;
  std::vector<float> weight_, bias_;  // [taps, depth], [depth]
  Shape shape_;                       // of the values
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const LambdaLayer& op, ParameterReader& reader) {
  return std::make_unique<LambdaLayerKernel>(op, reader);
}

}  // namespace wimm
