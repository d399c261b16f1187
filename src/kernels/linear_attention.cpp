// Attention whose cost is linear in the number of pixels: sums over all of them, then each pixel by itself.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

class LinearAttentionKernel final : public Kernel {
 public:
  explicit LinearAttentionKernel(const LinearAttention& op) : depth_(op.depth), eps_(static_cast<float>(op.eps)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    pixels_ = inputs[0][1] * inputs[0][2];
    images_ = inputs[0][0];
    heads_ = output.back() / depth_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(images_ * heads_, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> sums(static_cast<size_t>(depth_ * (depth_ + 1)));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / heads_ * pixels_, head = i % heads_;
        const float* x = inputs[0] + image * stride() + head * 3 * depth_;
        sum(x, sums);
        mix(x, sums, output + image * heads_ * depth_ + head * depth_);
      }
    });
  }

 private:
  int64_t stride() const { return 3 * depth_ * heads_; }

  // [depth, depth + 1]: Σ kᵀ·v, and Σ k at the end of each row. Runs of pixels are summed apart, so that large sums
  // lose nothing to small terms.
  void sum(const float* x, std::vector<float>& sums) const {
    constexpr int64_t run = 64;
    std::vector<float> part(sums.size());
    std::ranges::fill(sums, 0.0f);
    for (int64_t first = 0; first < pixels_; first += run) {
      std::ranges::fill(part, 0.0f);
      for (int64_t p = first; p < std::min(first + run, pixels_); ++p) {
        const float *k = x + p * stride() + depth_, *v = k + depth_;
        for (int64_t i = 0; i < depth_; ++i) {
          if (k[i] <= 0) continue;
          float* row = &part[static_cast<size_t>(i * (depth_ + 1))];
          add_scaled(v, k[i], depth_, row);
          row[depth_] += k[i];
        }
      }
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += part[i];
    }
  }

  void mix(const float* x, const std::vector<float>& sums, float* y) const {
    for (int64_t p = 0; p < pixels_; ++p) {
      const float* q = x + p * stride();
      float *out = y + p * heads_ * depth_, total = 0;
      std::fill_n(out, depth_, 0.0f);
      for (int64_t i = 0; i < depth_; ++i) {
        if (q[i] <= 0) continue;
        const float* row = &sums[static_cast<size_t>(i * (depth_ + 1))];
        add_scaled(row, q[i], depth_, out);
        total += q[i] * row[depth_];
      }
      for (int64_t i = 0; i < depth_; ++i) out[i] /= total + eps_;
    }
  }

  int64_t depth_, heads_ = 0, pixels_ = 0, images_ = 0;
  float eps_;
};

class SeparableAttentionKernel final : public Kernel {
 public:
  explicit SeparableAttentionKernel(Size2d patch) : patch_(patch) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    out_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t area = patch_[0] * patch_[1];
    pool.parallel_for(out_[0] * area, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / area * out_[1] * out_[2];
        attend(inputs[0] + image * stride(), i % area / patch_[1], i % area % patch_[1], output + image * out_[3]);
      }
    });
  }

 private:
  int64_t stride() const { return 1 + 2 * out_[3]; }

  // Calls use(pixel) for the pixels at a place of every patch.
  template <class Use>
  void each(int64_t top, int64_t left, Use&& use) const {
    for (int64_t y = top; y < out_[1]; y += patch_[0])
      for (int64_t x = left; x < out_[2]; x += patch_[1]) use(y * out_[2] + x);
  }

  void attend(const float* x, int64_t top, int64_t left, float* y) const {
    const int64_t channels = out_[3];
    float largest = x[(top * out_[2] + left) * stride()];
    each(top, left, [&](int64_t pixel) { largest = std::max(largest, x[pixel * stride()]); });
    std::vector<float> context(static_cast<size_t>(channels) + overread_floats);
    float total = 0;
    each(top, left, [&](int64_t pixel) {
      const float* row = x + pixel * stride();
      const float weight = std::exp(row[0] - largest);
      total += weight;
      add_scaled(row + 1, weight, channels, context.data());
    });
    for (float& value : context) value /= total;
    each(top, left, [&](int64_t pixel) {
      map4(x + pixel * stride() + 1 + channels, y + pixel * channels, 0, channels,
           [&](f32x4 v, int64_t c) { return max(v, f32x4{}) * load(&context[c]); });
    });
  }

  Size2d patch_;
  Shape out_;
};

class AdditivePoolKernel final : public Kernel {
 public:
  AdditivePoolKernel(const AdditivePool& op, ParameterReader& reader) : weight_(reader.read(op.weight)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    images_ = inputs[0][0];
    pixels_ = inputs[0][1] * inputs[0][2];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const auto channels = static_cast<int64_t>(weight_.size());
    pool.parallel_for(images_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        float *out = output + n * channels, squares = 0;
        std::fill_n(out, channels, 0.0f);
        for (int64_t p = n * pixels_; p < (n + 1) * pixels_; ++p) {
          const float* x = inputs[0] + p * channels;
          const float score = std::inner_product(weight_.begin(), weight_.end(), x, 0.0f);
          squares += score * score;
          add_scaled(x, score, channels, out);
        }
        const float inverse = 1 / std::max(std::sqrt(squares), 1e-12f);
        for (int64_t c = 0; c < channels; ++c) out[c] *= inverse;
      }
    });
  }

  size_t weight_bytes() const override { return weight_.size() * sizeof(float); }

 private:
  std::vector<float> weight_;
  int64_t images_ = 0, pixels_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const AdditivePool& op, ParameterReader& reader) {
  return std::make_unique<AdditivePoolKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const LinearAttention& op) { return std::make_unique<LinearAttentionKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const SeparableAttention& op) {
  return std::make_unique<SeparableAttentionKernel>(op.patch);
}

}  // namespace wimm
