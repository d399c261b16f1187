// Activations, channel-wise scale and shift, sums and products.
#include <cmath>

#include "kernels/activations.h"
#include "kernels/affine.h"
#include "kernels/kernel.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr int64_t grain_floats = 16'384;

class ActivateKernel final : public Kernel {
 public:
  explicit ActivateKernel(Activation activation) : activation_(activation) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    count_ = element_count(output);
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(count_, grain_floats, [&](int64_t begin, int64_t end) {
      apply_activation(activation_, inputs[0] + begin, output + begin, end - begin);
    });
  }

 private:
  Activation activation_;
  int64_t count_ = 0;
};

class AffineKernel final : public Kernel {
 public:
  AffineKernel(ScaleShift affine, Activation activation) : affine_(std::move(affine)), activation_(activation) {
    affine_.scale.resize(affine_.scale.size() + overread_floats);
    affine_.shift.resize(affine_.shift.size() + overread_floats);
  }
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    channels_ = output.back();
    rows_ = channels_ ? element_count(output) / channels_ : 0;
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    with_activation(activation_, [&](auto activation) {
      pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / channels_), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          map4(inputs[0] + row * channels_, output + row * channels_, 0, channels_,
               [&](f32x4 x, int64_t c) { return activation(x * load(&affine_.scale[c]) + load(&affine_.shift[c])); });
      });
    });
  }
  size_t weight_bytes() const override { return 2 * affine_.scale.size() * sizeof(float); }

 private:
  ScaleShift affine_;
  Activation activation_;
  int64_t channels_ = 0, rows_ = 0;
};

// The second operand has the first's shape, or one value per image and channel.
class BinaryKernel final : public Kernel {
 public:
  explicit BinaryKernel(const Binary& op) : op_(op) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    const int64_t count = element_count(output), second = element_count(inputs[1]);
    repeated_ = second != count;
    row_ = repeated_ ? output.back() : count;
    rows_ = row_ ? count / row_ : 0;
    rows_per_image_ = repeated_ ? rows_ / output[0] : 1;
    if (repeated_ && second != output[0] * row_)
      throw Error(ErrorCode::input_shape, "cannot combine " + to_string(inputs[0]) + " with " + to_string(inputs[1]));
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    with_activation(op_.activation, [&](auto activation) {
      if (op_.kind == Binary::Kind::add)
        combine(inputs[0], inputs[1], output, pool, [=](f32x4 a, f32x4 b) { return activation(a + b); });
      else
        combine(inputs[0], inputs[1], output, pool, [=](f32x4 a, f32x4 b) { return activation(a * b); });
    });
  }

 private:
  template <class Function>
  void combine(const float* a, const float* b, float* y, ThreadPool& pool, Function function) const {
    if (!repeated_)
      return pool.parallel_for(row_, grain_floats, [&](int64_t begin, int64_t end) {
        map4(a, y, begin, end, [&](f32x4 x, int64_t i) { return function(x, load(b + i)); });
      });
    pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / row_), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* factors = b + row / rows_per_image_ * row_;
        map4(a + row * row_, y + row * row_, 0, row_,
             [&](f32x4 x, int64_t c) { return function(x, load(factors + c)); });
      }
    });
  }

  Binary op_;
  bool repeated_ = false;
  int64_t row_ = 0, rows_ = 0, rows_per_image_ = 1;
};

template <class Layer>
FoldedWeights read_weights(const Layer& op, int64_t out, ParameterReader& reader) {
  return {reader.read(op.weight), op.bias == no_id ? std::vector<float>(out) : reader.read(op.bias)};
}

// Gives `weights` mean 0 and variance 1.
void standardize(std::span<float> weights, double eps) {
  const auto count = static_cast<double>(weights.size());
  double mean = 0, variance = 0;
  for (const float w : weights) mean += w / count;
  for (const float w : weights) variance += (w - mean) * (w - mean) / count;
  const double inverse_std = 1 / std::sqrt(variance + eps);
  for (float& w : weights) w = static_cast<float>((w - mean) * inverse_std);
}

void fold(FoldedWeights& weights, std::span<const Affine> steps, std::string_view layer, ParameterReader& reader) {
  const auto out = static_cast<int64_t>(weights.bias.size()), row = static_cast<int64_t>(weights.weight.size()) / out;
  for (const Affine& affine : steps) {
    const ScaleShift step = read_affine(affine, out, layer, reader);
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < row; ++i) weights.weight[o * row + i] *= step.scale[o];
      weights.bias[o] = weights.bias[o] * step.scale[o] + step.shift[o];
    }
  }
}

}  // namespace

void apply_activation(Activation activation, const float* x, float* y, int64_t count) {
  with_activation(activation,
                  [&](auto function) { map4(x, y, 0, count, [&](f32x4 v, int64_t) { return function(v); }); });
}

ScaleShift read_affine(const Affine& op, int64_t channels, std::string_view layer, ParameterReader& reader) {
  const auto read = [&](ParameterId id, float otherwise) {
    return id == no_id ? std::vector<float>(channels, otherwise) : reader.read(id);
  };
  ScaleShift affine{read(op.weight, 1), read(op.bias, 0)};
  if (op.mean == no_id) return affine;
  const std::vector<float> mean = reader.read(op.mean), var = reader.read(op.var);
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = affine.scale[c] / std::sqrt(static_cast<double>(var[c]) + op.eps);
    affine.shift[c] = static_cast<float>(affine.shift[c] - mean[c] * scale);
    affine.scale[c] = static_cast<float>(scale);
    if (!std::isfinite(affine.scale[c]) || !std::isfinite(affine.shift[c]))
      throw Error(ErrorCode::weights_nonfinite,
                  "the normalisation of " + std::string(layer) + " is not finite in channel " + std::to_string(c) +
                      ": running_var is " + std::to_string(var[c]) + "; the weights are damaged")
          .in_tensor(layer);
  }
  return affine;
}

FoldedWeights read_folded(const Conv2d& op, std::string_view layer, ParameterReader& reader) {
  FoldedWeights weights = read_weights(op, op.out_channels, reader);
  if (op.standardize) {
    const std::span<float> all = weights.weight;
    const size_t row = all.size() / op.out_channels;
    for (size_t begin = 0; begin < all.size(); begin += row) standardize(all.subspan(begin, row), *op.standardize);
  }
  fold(weights, op.folded, layer, reader);
  return weights;
}

FoldedWeights read_folded(const Linear& op, std::string_view layer, ParameterReader& reader) {
  FoldedWeights weights = read_weights(op, op.out_features, reader);
  fold(weights, op.folded, layer, reader);
  return weights;
}

std::unique_ptr<Kernel> make_kernel(const Activate& op) { return std::make_unique<ActivateKernel>(op.activation); }
std::unique_ptr<Kernel> make_kernel(const Binary& op) { return std::make_unique<BinaryKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const Affine& op, int64_t channels, std::string_view layer,
                                    ParameterReader& reader) {
  return std::make_unique<AffineKernel>(read_affine(op, channels, layer, reader), op.activation);
}

}  // namespace wimm
