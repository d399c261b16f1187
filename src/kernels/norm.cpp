// Normalisations by statistics of the value itself: group norm, layer norm, RMS norm, global response norm, EvoNorm-S0
// and filter response norm.
#include <algorithm>
#include <cmath>

#include "kernels/activations.h"
#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

constexpr int64_t grain_floats = 16'384;

// Of one channel over the pixels of an image.
struct Moments {
  double mean = 0, variance = 0;
};

// Moments of 4 channels. Values are taken relative to the first pixel, so that a large mean costs no precision, and
// summed in float over runs of pixels, in double over the runs.
void moments4(const float* x, int64_t pixels, int64_t channels, int64_t width, Moments* moments) {
  constexpr int64_t run = 64;
  const f32x4 origin = load(x);
  double sum[4] = {}, squares[4] = {};
  for (int64_t begin = 0; begin < pixels; begin += run) {
    f32x4 run_sum{}, run_squares{};
    for (int64_t p = begin; p < std::min(begin + run, pixels); ++p) {
      const f32x4 d = load(x + p * channels) - origin;
      run_sum += d;
      run_squares += d * d;
    }
    for (int64_t k = 0; k < 4; ++k) {
      sum[k] += run_sum[k];
      squares[k] += run_squares[k];
    }
  }
  const auto count = static_cast<double>(pixels);
  for (int64_t k = 0; k < width; ++k) {
    const double mean = sum[k] / count;
    moments[k] = {origin[k] + mean, std::max(0.0, squares[k] / count - mean * mean)};
  }
}

// Of each channel of an image.
std::vector<Moments> channel_moments(const float* image, int64_t pixels, int64_t channels, ThreadPool& pool) {
  std::vector<Moments> moments(static_cast<size_t>(channels));
  pool.parallel_for((channels + 3) / 4, std::max<int64_t>(1, grain_floats / (4 * pixels)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t c = 4 * begin; c < std::min(4 * end, channels); c += 4)
                        moments4(image + c, pixels, channels, std::min<int64_t>(4, channels - c), &moments[c]);
                    });
  return moments;
}

// What group norm and EvoNorm-S0 share: moments of each group of channels over an image.
class GroupStatistics {
 public:
  GroupStatistics(int64_t groups, double eps) : groups_(groups), eps_(eps) {}

  // Per group: its mean, and 1 / √(variance + eps).
  struct Group {
    float mean, inverse_std;
  };

  std::span<const Group> compute(const float* image, int64_t pixels, int64_t channels, ThreadPool& pool) {
    const std::vector<Moments> moments = channel_moments(image, pixels, channels, pool);
    result_.clear();
    const int64_t size = channels / groups_;
    for (int64_t g = 0; g < groups_; ++g) result_.push_back(merge(std::span(moments).subspan(g * size, size)));
    return result_;
  }

 private:
  Group merge(std::span<const Moments> channels) const {
    double mean = 0, variance = 0;
    for (const Moments& m : channels) mean += m.mean / static_cast<double>(channels.size());
    for (const Moments& m : channels)
      variance += (m.variance + (m.mean - mean) * (m.mean - mean)) / static_cast<double>(channels.size());
    return {static_cast<float>(mean), static_cast<float>(1 / std::sqrt(variance + eps_))};
  }

  int64_t groups_;
  double eps_;
  std::vector<Group> result_;
};

std::vector<float> read_padded(ParameterId id, ParameterReader& reader) {
  std::vector<float> values = reader.read(id);
  values.resize(values.size() + overread_floats);
  return values;
}

// Zeros for a bias that is not there.
std::vector<float> read_bias(ParameterId id, const std::vector<float>& weight, ParameterReader& reader) {
  return id == no_id ? std::vector<float>(weight.size()) : read_padded(id, reader);
}

// Applies `function(x, c)` to every four channels of rows of `channels` values.
template <class Function>
void map_rows(const float* x, float* y, int64_t rows, int64_t channels, ThreadPool& pool, Function&& function) {
  pool.parallel_for(rows, std::max<int64_t>(1, grain_floats / channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) map4(x + row * channels, y + row * channels, 0, channels, function);
  });
}

class GroupNormKernel final : public Kernel {
 public:
  GroupNormKernel(const GroupNorm& op, ParameterReader& reader)
      : statistics_(op.groups, op.eps),
        groups_(op.groups),
        activation_(op.activation),
        weight_(read_padded(op.weight, reader)),
        bias_(read_bias(op.bias, weight_, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    shape_ = inputs[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = shape_.back(), pixels = element_count(shape_) / shape_[0] / channels,
                  size = channels / groups_;
    std::vector<float> scale(weight_.size()), shift(weight_.size());
    for (int64_t n = 0; n < shape_[0]; ++n) {
      const int64_t image = n * pixels * channels;
      const auto groups = statistics_.compute(inputs[0] + image, pixels, channels, pool);
      for (int64_t c = 0; c < channels; ++c) {
        scale[c] = weight_[c] * groups[c / size].inverse_std;
        shift[c] = bias_[c] - groups[c / size].mean * scale[c];
      }
      with_activation(activation_, [&](auto activation) {
        map_rows(inputs[0] + image, output + image, pixels, channels, pool,
                 [&](f32x4 x, int64_t c) { return activation(x * load(&scale[c]) + load(&shift[c])); });
      });
    }
  }

  size_t weight_bytes() const override { return 2 * weight_.size() * sizeof(float); }

 private:
  GroupStatistics statistics_;
  int64_t groups_;
  Activation activation_;
  std::vector<float> weight_, bias_;
  Shape shape_;
};

class EvoNormS0Kernel final : public Kernel {
 public:
  EvoNormS0Kernel(const EvoNormS0& op, ParameterReader& reader)
      : statistics_(op.groups, op.eps),
        groups_(op.groups),
        gated_(op.v != no_id),
        v_(gated_ ? read_padded(op.v, reader) : std::vector<float>{}),
        weight_(read_padded(op.weight, reader)),
        bias_(read_padded(op.bias, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    shape_ = inputs[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = shape_[3], pixels = shape_[1] * shape_[2], size = channels / groups_;
    std::vector<float> scale(weight_.size());
    for (int64_t n = 0; n < shape_[0]; ++n) {
      const int64_t image = n * pixels * channels;
      const auto groups = statistics_.compute(inputs[0] + image, pixels, channels, pool);
      for (int64_t c = 0; c < channels; ++c) scale[c] = weight_[c] * groups[c / size].inverse_std;
      const auto norm = [&](auto&& gate) {
        map_rows(inputs[0] + image, output + image, pixels, channels, pool,
                 [&](f32x4 x, int64_t c) { return gate(x, c) * load(&scale[c]) + load(&bias_[c]); });
      };
      if (gated_)
        norm([&](f32x4 x, int64_t c) { return x * sigmoid(x * load(&v_[c])); });
      else
        norm([](f32x4 x, int64_t) { return x; });
    }
  }

  size_t weight_bytes() const override { return 3 * weight_.size() * sizeof(float); }

 private:
  GroupStatistics statistics_;
  int64_t groups_;
  bool gated_;
  std::vector<float> v_, weight_, bias_;
  Shape shape_;
};

class FilterResponseNormKernel final : public Kernel {
 public:
  FilterResponseNormKernel(const FilterResponseNorm& op, ParameterReader& reader)
      : eps_(op.eps),
        weight_(read_padded(op.weight, reader)),
        bias_(read_padded(op.bias, reader)),
        tau_(read_padded(op.tau, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    shape_ = inputs[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = shape_[3], pixels = shape_[1] * shape_[2];
    std::vector<float> scale(weight_.size());
    for (int64_t n = 0; n < shape_[0]; ++n) {
      const int64_t image = n * pixels * channels;
      const std::vector<Moments> moments = channel_moments(inputs[0] + image, pixels, channels, pool);
      for (int64_t c = 0; c < channels; ++c) {
        const double mean_square = moments[c].variance + moments[c].mean * moments[c].mean;
        scale[c] = static_cast<float>(weight_[c] / std::sqrt(mean_square + eps_));
      }
      map_rows(inputs[0] + image, output + image, pixels, channels, pool,
               [&](f32x4 x, int64_t c) { return max(x * load(&scale[c]) + load(&bias_[c]), load(&tau_[c])); });
    }
  }

  size_t weight_bytes() const override { return 3 * weight_.size() * sizeof(float); }

 private:
  double eps_;
  std::vector<float> weight_, bias_, tau_;
  Shape shape_;
};

class GlobalResponseNormKernel final : public Kernel {
 public:
  GlobalResponseNormKernel(const GlobalResponseNorm& op, ParameterReader& reader)
      : eps_(op.eps), weight_(read_padded(op.weight, reader)), bias_(read_padded(op.bias, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    shape_ = inputs[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = shape_[3], pixels = shape_[1] * shape_[2];
    std::vector<double> norms(static_cast<size_t>(channels));
    std::vector<float> scale(weight_.size());
    for (int64_t n = 0; n < shape_[0]; ++n) {
      const int64_t image = n * pixels * channels;
      const std::vector<Moments> moments = channel_moments(inputs[0] + image, pixels, channels, pool);
      double mean = 0;
      for (int64_t c = 0; c < channels; ++c) {
        const double mean_square = moments[c].variance + moments[c].mean * moments[c].mean;
        norms[c] = std::sqrt(mean_square * static_cast<double>(pixels));
        mean += norms[c] / static_cast<double>(channels);
      }
      for (int64_t c = 0; c < channels; ++c) scale[c] = static_cast<float>(1 + weight_[c] * norms[c] / (mean + eps_));
      map_rows(inputs[0] + image, output + image, pixels, channels, pool,
               [&](f32x4 x, int64_t c) { return x * load(&scale[c]) + load(&bias_[c]); });
    }
  }

  size_t weight_bytes() const override { return 2 * weight_.size() * sizeof(float); }

 private:
  double eps_;
  std::vector<float> weight_, bias_;
  Shape shape_;
};

// The sum of function(x) over `count` values.
template <class Function>
float sum_of(const float* x, int64_t count, Function&& function) {
  f32x4 total{};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) total += function(load(x + i));
  float result = sum(total);
  for (; i < count; ++i) result += function(splat(x[i]))[0];
  return result;
}

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const LayerNorm& op, ParameterReader& reader)
      : eps_(static_cast<float>(op.eps)),
        weight_(read_padded(op.weight, reader)),
        bias_(read_bias(op.bias, weight_, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    channels_ = static_cast<int64_t>(weight_.size() - overread_floats);
    rows_ = element_count(inputs[0]) / channels_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / channels_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) norm(inputs[0] + row * channels_, output + row * channels_);
    });
  }

  size_t weight_bytes() const override { return 2 * weight_.size() * sizeof(float); }

 private:
  void norm(const float* x, float* y) const {
    const auto count = static_cast<float>(channels_);
    const float mean = sum_of(x, channels_, [](f32x4 v) { return v; }) / count;
    const float variance = sum_of(x, channels_, [=](f32x4 v) { return (v - mean) * (v - mean); }) / count;
    const float inverse_std = 1 / std::sqrt(variance + eps_);
    map4(x, y, 0, channels_,
         [&](f32x4 v, int64_t c) { return (v - mean) * inverse_std * load(&weight_[c]) + load(&bias_[c]); });
  }

  float eps_;
  std::vector<float> weight_, bias_;
  int64_t channels_ = 0, rows_ = 0;
};

class RmsNormKernel final : public Kernel {
 public:
  RmsNormKernel(const RmsNorm& op, ParameterReader& reader)
      : eps_(static_cast<float>(op.eps)), variance_(op.variance), weight_(read_padded(op.weight, reader)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    channels_ = static_cast<int64_t>(weight_.size() - overread_floats);
    rows_ = element_count(inputs[0]) / channels_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / channels_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) norm(inputs[0] + row * channels_, output + row * channels_);
    });
  }

  size_t weight_bytes() const override { return weight_.size() * sizeof(float); }

 private:
  void norm(const float* x, float* y) const {
    const auto count = static_cast<float>(channels_);
    const float mean = variance_ ? sum_of(x, channels_, [](f32x4 v) { return v; }) / count : 0;
    const float squares = sum_of(x, channels_, [=](f32x4 v) { return (v - mean) * (v - mean); });
    const float inverse = 1 / std::sqrt(squares / (variance_ ? count - 1 : count) + eps_);
    map4(x, y, 0, channels_, [&](f32x4 v, int64_t c) { return v * inverse * load(&weight_[c]); });
  }

  float eps_;
  bool variance_;
  std::vector<float> weight_;
  int64_t channels_ = 0, rows_ = 0;
};

class UnitNormKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    channels_ = inputs[0].back();
    rows_ = element_count(inputs[0]) / channels_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / channels_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* x = inputs[0] + row * channels_;
        const float squares = sum_of(x, channels_, [](f32x4 v) { return v * v; });
        const float inverse = 1 / std::max(std::sqrt(squares), 1e-12f);
        map4(x, output + row * channels_, 0, channels_, [&](f32x4 v, int64_t) { return v * inverse; });
      }
    });
  }

 private:
  int64_t channels_ = 0, rows_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const GroupNorm& op, int64_t, ParameterReader& reader) {
  return std::make_unique<GroupNormKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const LayerNorm& op, int64_t, ParameterReader& reader) {
  return std::make_unique<LayerNormKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const UnitNorm&) { return std::make_unique<UnitNormKernel>(); }
std::unique_ptr<Kernel> make_kernel(const RmsNorm& op, int64_t, ParameterReader& reader) {
  return std::make_unique<RmsNormKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const GlobalResponseNorm& op, int64_t, ParameterReader& reader) {
  return std::make_unique<GlobalResponseNormKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const EvoNormS0& op, int64_t, ParameterReader& reader) {
  return std::make_unique<EvoNormS0Kernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const FilterResponseNorm& op, int64_t, ParameterReader& reader) {
  return std::make_unique<FilterResponseNormKernel>(op, reader);
}

}  // namespace wimm
