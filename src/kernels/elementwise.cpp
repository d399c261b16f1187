// Activations, channel-wise scale and shift, sums and products.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "kernels/activations.h"
#include "kernels/affine.h"
#include "kernels/kernel.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr int64_t grain_floats = 16'384;

class ActivateKernel final : public Kernel {
 public:
  ActivateKernel(Activation activation, const Strides& strides)
      : activation_(activation), in_stride_(strides.inputs[0]), out_stride_(strides.output) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    output_ = output;
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    apply_activation(activation_, {inputs[0], in_stride_}, {output, out_stride_}, output_, pool);
  }

 private:
  Activation activation_;
  int64_t in_stride_, out_stride_;
  Shape output_;
};

class AffineKernel final : public Kernel {
 public:
  AffineKernel(ScaleShift affine, Activation activation, const Strides& strides)
      : affine_(std::move(affine)),
        activation_(activation),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output) {
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
          map4(inputs[0] + row * in_stride_, output + row * out_stride_, 0, channels_,
               [&](f32x4 x, int64_t c) { return activation(x * load(&affine_.scale[c]) + load(&affine_.shift[c])); });
      });
    });
  }
  size_t weight_bytes() const override { return 2 * affine_.scale.size() * sizeof(float); }

 private:
  ScaleShift affine_;
  Activation activation_;
  int64_t in_stride_, out_stride_;
  int64_t channels_ = 0, rows_ = 0;
};

// The second operand has the first's shape, or one value per image and channel, or one per pixel.
class BinaryKernel final : public Kernel {
 public:
  BinaryKernel(const Binary& op, Strides strides) : op_(op), strides_(std::move(strides)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    const int64_t count = element_count(output), second = element_count(inputs[1]);
    row_ = output.back();
    rows_ = row_ ? count / row_ : 0;
    one_a_row_ = row_ > 1 && inputs[1].back() == 1;
    const bool repeated = second != count && !one_a_row_;
    rows_per_second_ = repeated ? rows_ / output[0] : 1;
    contiguous_ = !repeated && !one_a_row_ &&
                  std::ranges::all_of(strides_.inputs, [&](int64_t stride) { return stride == row_; }) &&
                  strides_.output == row_;
    if (one_a_row_ ? second != rows_ : repeated && second != output[0] * row_)
      throw Error(ErrorCode::input_shape, "cannot combine " + to_string(inputs[0]) + " with " + to_string(inputs[1]));
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    with_activation(op_.activation, [&](auto activation) {
      if (op_.kind == Binary::Kind::add)
        combine(inputs[0], inputs[1], output, pool, [=](f32x4 a, f32x4 b) { return activation(a + b); });
      else if (op_.kind == Binary::Kind::sub)
        combine(inputs[0], inputs[1], output, pool, [=](f32x4 a, f32x4 b) { return activation(a - b); });
      else
        combine(inputs[0], inputs[1], output, pool, [=](f32x4 a, f32x4 b) { return activation(a * b); });
    });
  }

 private:
  template <class Function>
  void combine(const float* a, const float* b, float* y, ThreadPool& pool, Function function) const {
    pool.parallel_for(rows_, std::max<int64_t>(1, grain_floats / row_), [&](int64_t begin, int64_t end) {
      const int64_t rows = contiguous_ ? end - begin : 1;  // at once
      for (int64_t row = begin; row < end; row += rows) {
        const float* second = b + row / rows_per_second_ * strides_.inputs[1];
        const float all[] = {*second, *second, *second, *second};
        if (one_a_row_) second = all;
        map4(a + row * strides_.inputs[0], y + row * strides_.output, 0, rows * row_,
             [=, mask = one_a_row_ ? 0 : -1](f32x4 x, int64_t c) { return function(x, load(second + (c & mask))); });
      }
    });
  }

  Binary op_;
  Strides strides_;
  bool contiguous_ = true;
  bool one_a_row_ = false;  // the second operand is of one channel
  int64_t row_ = 0, rows_ = 0;
  int64_t rows_per_second_ = 1;  // that a row of the second operand is for
};

class StarReluKernel final : public Kernel {
 public:
  StarReluKernel(const StarRelu& op, ParameterReader& reader)
      : scale_(reader.read(op.scale).at(0)), bias_(reader.read(op.bias).at(0)) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    count_ = element_count(output);
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(count_, grain_floats, [&](int64_t begin, int64_t end) {
      map4(inputs[0], output, begin, end, [&](f32x4 x, int64_t) {
        const f32x4 positive = max(f32x4{}, x);  // NaN stays NaN
        return positive * positive * scale_ + bias_;
      });
    });
  }

 private:
  float scale_, bias_;
  int64_t count_ = 0;
};

template <class Layer>
FoldedWeights read_weights(const Layer& op, int64_t out, ParameterReader& reader) {
  return {op.weight == no_id ? std::vector<float>(out, 1.0f) : reader.read(op.weight),
          op.bias == no_id ? std::vector<float>(out) : reader.read(op.bias)};
}

// Adds the weights of a branch of `op`, whose kernel is no larger and whose groups are as many or more, in the middle.
void add_branch(const Conv2d& op, const Conv2d& branch, const FoldedWeights& from, FoldedWeights& to) {
  const int64_t out = op.out_channels, in = static_cast<int64_t>(to.weight.size()) / out / op.kernel[0] / op.kernel[1],
                branch_in = in * op.groups / branch.groups;
  const auto [height, width] = branch.kernel;
  const int64_t top = (op.kernel[0] - height) / 2, left = (op.kernel[1] - width) / 2;
  const float* weight = from.weight.data();
  for (int64_t o = 0; o < out; ++o) {
    const int64_t first = o / (out / branch.groups) * branch_in - o / (out / op.groups) * in;
    for (int64_t i = first; i < first + branch_in; ++i)
      for (int64_t y = top; y < top + height; ++y)
        for (int64_t x = left; x < left + width; ++x)
          to.weight[((o * in + i) * op.kernel[0] + y) * op.kernel[1] + x] += *weight++;
    to.bias[o] += from.bias[o];
  }
}

FoldedWeights add_branches(const Conv2d& op, std::string_view layer, ParameterReader& reader) {
  std::vector<FoldedWeights> parts;
  for (const Conv2d& branch : op.branches) parts.push_back(read_folded(branch, layer, reader));
  const Conv2d& any = op.branches[0];
  const auto count = static_cast<int64_t>(parts[0].weight.size());
  const int64_t inputs = count / (op.out_channels * any.kernel[0] * any.kernel[1]) * any.groups / op.groups;
  FoldedWeights sum{std::vector<float>(op.out_channels * inputs * op.kernel[0] * op.kernel[1]),
                    std::vector<float>(op.out_channels)};
  for (size_t i = 0; i < parts.size(); ++i) add_branch(op, op.branches[i], parts[i], sum);
  return sum;
}

// Gives `weights` mean 0 and variance 1, times `gain`.
void standardize(std::span<float> weights, double eps, double gain) {
  const auto count = static_cast<double>(weights.size());
  double mean = 0, variance = 0;
  for (const float w : weights) mean += w / count;
  for (const float w : weights) variance += (w - mean) * (w - mean) / count;
  const double inverse_std = gain / std::sqrt(variance + eps);
  for (float& w : weights) w = static_cast<float>((w - mean) * inverse_std);
}

// The values again and again.
void repeat(std::vector<float>& values, int64_t times) {
  if (times == 1) return;
  const std::vector<float> once = values;
  for (int64_t i = 1; i < times; ++i) values.insert(values.end(), once.begin(), once.end());
}

void fold(FoldedWeights& weights, std::span<const Affine> steps, std::string_view layer, ParameterReader& reader) {
  const auto out = static_cast<int64_t>(weights.bias.size()), row = static_cast<int64_t>(weights.weight.size()) / out;
  for (const Affine& affine : steps) {
    const ScaleShift step = read_affine(affine, out, layer, reader);
    for (int64_t o = 0; o < out; ++o) {
      const float scale = step.scale[o];
      for (float& w : std::span(weights.weight).subspan(o * row, row)) w *= scale;
      weights.bias[o] = weights.bias[o] * step.scale[o] + step.shift[o];
    }
  }
}

// As map4, but where other threads may be writing past the end of x, so that nothing there is read.
template <class Function>
void map_within(const float* x, float* y, ptrdiff_t count, Function&& function) {
  const ptrdiff_t whole = count / 4 * 4;
  for (ptrdiff_t i = 0; i < whole; i += 4) store(y + i, function(load(x + i)));
  if (whole == count) return;
  float tail[4] = {};
  std::copy(x + whole, x + count, tail);
  store(tail, function(load(tail)));
  std::copy(tail, tail + (count - whole), y + whole);
}

}  // namespace

bool is_clamp(Activation activation) {
  return activation == Activation::identity || activation == Activation::relu || activation == Activation::relu6;
}

std::pair<float, float> output_range(Activation activation) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (activation == Activation::relu) return {0, infinity};
  if (activation == Activation::relu6) return {0, 6};
  return {-infinity, infinity};
}

void apply_activation(Activation activation, Rows<const float> x, Rows<float> y, int64_t count, int64_t width) {
  with_activation(activation, [&](auto function) {
    for (int64_t row = 0; row < count; ++row)
      map_within(x.data + row * x.stride, y.data + row * y.stride, width, function);
  });
}

void apply_activation(Activation activation, const float* x, float* y, int64_t count) {
  apply_activation(activation, {x, 0}, {y, 0}, 1, count);
}

void apply_activation(Activation activation, Rows<const float> x, Rows<float> y, const Shape& shape, ThreadPool& pool) {
  const int64_t count = element_count(shape), width = shape.back();
  const bool contiguous = x.stride == width && y.stride == width;
  if (contiguous)
    return pool.parallel_for(count, grain_floats, [&](int64_t begin, int64_t end) {
      apply_activation(activation, x.data + begin, y.data + begin, end - begin);
    });
  pool.parallel_for(count / width, std::max<int64_t>(1, grain_floats / width), [&](int64_t begin, int64_t end) {
    apply_activation(activation, {x.data + begin * x.stride, x.stride}, {y.data + begin * y.stride, y.stride},
                     end - begin, width);
  });
}

ScaleShift read_affine(const Affine& op, int64_t channels, std::string_view layer, ParameterReader& reader) {
  const auto read = [&](ParameterId id, float otherwise) {
    std::vector<float> values = id == no_id ? std::vector<float>(channels, otherwise) : reader.read(id);
    if (values.size() == 1) values = std::vector<float>(channels, values[0]);
    return values;
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
  FoldedWeights weights =
      op.branches.empty() ? read_weights(op, op.out_channels / op.repeats, reader) : add_branches(op, layer, reader);
  repeat(weights.weight, op.repeats);
  repeat(weights.bias, op.repeats);
  if (op.standardize) {
    const std::span<float> all = weights.weight;
    const size_t row = all.size() / op.out_channels;
    const std::vector<float> gain = op.gain == no_id ? std::vector<float>(op.out_channels, 1.0f) : reader.read(op.gain);
    for (size_t o = 0; o < gain.size(); ++o)
      standardize(all.subspan(o * row, row), *op.standardize, gain[o] * op.gain_scale);
  }
  fold(weights, op.folded, layer, reader);
  return weights;
}

FoldedWeights read_folded(const Linear& op, std::string_view layer, ParameterReader& reader) {
  FoldedWeights weights = read_weights(op, op.out_features, reader);
  const size_t part = weights.bias.size() / std::max<size_t>(1, op.bias_parts.size());
  for (size_t i = 0; i < op.bias_parts.size(); ++i)
    if (op.bias_parts[i] != no_id) std::ranges::copy(reader.read(op.bias_parts[i]), weights.bias.begin() + i * part);
  fold(weights, op.folded, layer, reader);
  return weights;
}

std::unique_ptr<Kernel> make_kernel(const Activate& op, const Strides& strides) {
  return std::make_unique<ActivateKernel>(op.activation, strides);
}
std::unique_ptr<Kernel> make_kernel(const StarRelu& op, ParameterReader& reader) {
  return std::make_unique<StarReluKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const Binary& op, const Strides& strides) {
  return std::make_unique<BinaryKernel>(op, strides);
}
std::unique_ptr<Kernel> make_kernel(const Affine& op, int64_t channels, const Strides& strides, std::string_view layer,
                                    ParameterReader& reader) {
  return std::make_unique<AffineKernel>(read_affine(op, channels, layer, reader), op.activation, strides);
}

}  // namespace wimm
