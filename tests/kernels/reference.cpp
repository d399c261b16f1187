// The naive interpreter: one loop nest an operation, no sharing, no cleverness.
#include "kernels/reference.h"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "graph/overloaded.h"

namespace wimm::testing {
namespace {

double activate(Activation activation, double x) {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto relu6 = [](double v) { return std::min(std::max(v, 0.0), 6.0); };
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::relu6:
      return relu6(x);
    case Activation::squared_relu:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::hard_sigmoid:
      return relu6(x + 3) / 6;
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::hard_swish:
      return x * relu6(x + 3) / 6;
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x * sigmoid(1.702 * x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::leaky_relu:
      return x > 0 ? x : 0.01 * x;
    case Activation::leaky_relu_1e_3:
      return x > 0 ? x : 0.001 * x;
  }
  return x;
}

class Interpreter {
 public:
  Interpreter(const Graph& graph, const Value& input) : graph_(graph), input_(input) {}

  const Value& value(NodeId id) {
    if (const auto found = values_.find(id); found != values_.end()) return found->second;
    const Node& node = graph_.nodes[id];
    return values_[id] = std::visit(Overloaded{[&](const auto& op) { return compute(op, node); }}, node.op);
  }

 private:
  const Value& in(const Node& node, size_t k = 0) { return value(node.inputs[k]); }
  std::vector<float> parameter(ParameterId id, int64_t count, float otherwise) const {
    return id == no_id ? std::vector<float>(count, otherwise) : test_parameter(graph_.parameters[id], id);
  }

  template <class Function>
  static Value map(const Value& x, Function&& function) {
    Value y{x.shape, std::vector<double>(x.data.size())};
    const int64_t channels = x.shape[1], plane = static_cast<int64_t>(x.data.size()) / (x.shape[0] * channels);
    for (size_t i = 0; i < x.data.size(); ++i)
      y.data[i] = function(x.data[i], static_cast<int64_t>(i) / plane % channels, i);
    return y;
  }

  Value compute(const Input&, const Node&) { return input_; }

  Value compute(const Affine& op, const Node& node) {
    const int64_t c = node.channels;
    const auto weight = parameter(op.weight, c, 1), bias = parameter(op.bias, c, 0), mean = parameter(op.mean, c, 0),
               var = parameter(op.var, c, 1);
    const double eps = op.mean == no_id ? 0 : op.eps;
    return map(in(node), [&](double x, int64_t k, size_t) {
      return (x - mean[k]) / std::sqrt(var[k] + eps) * weight[k] + bias[k];
    });
  }

  Value compute(const Activate& op, const Node& node) {
    return map(in(node), [&](double x, int64_t, size_t) { return activate(op.activation, x); });
  }

  Value compute(const StarRelu& op, const Node& node) {
    const double scale = parameter(op.scale, 1, 0)[0], bias = parameter(op.bias, 1, 0)[0];
    return map(in(node), [&](double x, int64_t, size_t) { return x > 0 ? scale * x * x + bias : bias; });
  }

  Value compute(const Binary& op, const Node& node) {
    const Value &a = in(node, 0), &b = in(node, 1);
    const size_t plane = a.data.size() / b.data.size();
    const bool per_pixel = b.shape.size() == 4 && b.shape[1] == 1 && a.shape[1] > 1;
    const auto pixels = static_cast<size_t>(per_pixel ? b.shape[2] * b.shape[3] : 1);
    return map(a, [&](double x, int64_t, size_t i) {
      const double y = b.data[per_pixel ? i / (plane * pixels) * pixels + i % pixels : i / plane];
      if (op.kind == Binary::Kind::mul) return x * y;
      return op.kind == Binary::Kind::add ? x + y : x - y;
    });
  }

  struct Window {
    Size2d kernel, stride, dilation;
    Padding padding;
    bool ceil_mode;
  };

  // First position and count of windows along one axis, counted by walking.
  static std::pair<int64_t, int64_t> walk(int64_t size, int64_t kernel, int64_t stride, int64_t dilation,
                                          int64_t before, int64_t after, bool same, bool ceil) {
    const int64_t span = dilation * (kernel - 1) + 1;
    if (same) {
      const int64_t out = (size + stride - 1) / stride, total = std::max<int64_t>(0, (out - 1) * stride + span - size);
      return {-(total / 2), out};
    }
    int64_t out = 0;
    for (int64_t start = -before;
         start + span <= size + after || (ceil && start < size && start < size + after - span + stride);
         start += stride)
      ++out;
    return {-before, out};
  }

  // Calls use(n, y, x, first row, first column) for each window; returns the output's height and width.
  template <class Use>
  static Size2d windows(const Value& x, const Window& w, Use&& use) {
    const auto [top, rows] = walk(x.shape[2], w.kernel[0], w.stride[0], w.dilation[0], w.padding.top, w.padding.bottom,
                                  w.padding.same, w.ceil_mode);
    const auto [left, columns] = walk(x.shape[3], w.kernel[1], w.stride[1], w.dilation[1], w.padding.left,
                                      w.padding.right, w.padding.same, w.ceil_mode);
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (int64_t y = 0; y < rows; ++y)
        for (int64_t c = 0; c < columns; ++c)
          use(n, (n * rows + y) * columns + c, top + y * w.stride[0], left + c * w.stride[1]);
    return {rows, columns};
  }

  static double at(const Value& x, int64_t n, int64_t c, int64_t y, int64_t column, double outside) {
    if (y < 0 || column < 0 || y >= x.shape[2] || column >= x.shape[3]) return outside;
    return x.data[((n * x.shape[1] + c) * x.shape[2] + y) * x.shape[3] + column];
  }

  // From [window][channel] to NCHW.
  static Value to_nchw(const std::vector<std::vector<double>>& windows, int64_t batch, Size2d size, int64_t channels) {
    Value y{{batch, channels, size[0], size[1]}, {}};
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t p = 0; p < size[0] * size[1]; ++p) y.data.push_back(windows[n * size[0] * size[1] + p][c]);
    return y;
  }

  std::vector<double> conv_weights(const Conv2d& op) const {
    const auto read = parameter(op.weight, 0, 0);
    std::vector<double> weight(read.begin(), read.end());
    if (!op.standardize) return weight;
    const size_t row = weight.size() / op.out_channels;
    const auto gain = parameter(op.gain, op.out_channels, 1);
    for (size_t begin = 0; begin < weight.size(); begin += row) {
      double mean = 0, variance = 0;
      for (size_t i = begin; i < begin + row; ++i) mean += weight[i] / row;
      for (size_t i = begin; i < begin + row; ++i) variance += std::pow(weight[i] - mean, 2) / row;
      for (size_t i = begin; i < begin + row; ++i)
        weight[i] = (weight[i] - mean) / std::sqrt(variance + *op.standardize) * gain[begin / row] * op.gain_scale;
    }
    return weight;
  }

  Value compute(const Conv2d& op, const Node& node) {
    const Value& x = in(node);
    const int64_t group_in = x.shape[1] / op.groups, group_out = op.out_channels / op.groups;
    const std::vector<double> weight = conv_weights(op);
    const auto bias = parameter(op.bias, op.out_channels, 0);
    std::vector<std::vector<double>> results;
    const Size2d size = windows(
        x, {op.kernel, op.stride, op.dilation, op.padding, false}, [&](int64_t n, int64_t, int64_t top, int64_t left) {
          std::vector<double>& row = results.emplace_back();
          for (int64_t o = 0; o < op.out_channels; ++o) {
            double sum = bias[o];
            for (int64_t i = 0; i < group_in; ++i)
              for (int64_t ky = 0; ky < op.kernel[0]; ++ky)
                for (int64_t kx = 0; kx < op.kernel[1]; ++kx)
                  sum +=
                      weight[((o * group_in + i) * op.kernel[0] + ky) * op.kernel[1] + kx] *
                      at(x, n, o / group_out * group_in + i, top + ky * op.dilation[0], left + kx * op.dilation[1], 0);
            row.push_back(sum);
          }
        });
    return to_nchw(results, x.shape[0], size, op.out_channels);
  }

  Value compute(const MaxPool& op, const Node& node) {
    const Value& x = in(node);
    std::vector<std::vector<double>> results;
    const Size2d size = windows(x, {op.kernel, op.stride, {1, 1}, op.padding, op.ceil_mode},
                                [&](int64_t n, int64_t, int64_t top, int64_t left) {
                                  std::vector<double>& row = results.emplace_back();
                                  for (int64_t c = 0; c < x.shape[1]; ++c) {
                                    double best = -std::numeric_limits<double>::infinity();
                                    for (int64_t y = 0; y < op.kernel[0]; ++y)
                                      for (int64_t k = 0; k < op.kernel[1]; ++k)
                                        best = std::max(best, at(x, n, c, top + y, left + k, best));
                                    row.push_back(best);
                                  }
                                });
    return to_nchw(results, x.shape[0], size, x.shape[1]);
  }

  // PyTorch's rule: with count_include_pad the divisor is the window's part inside the padded image.
  Value compute(const AvgPool& op, const Node& node) {
    const Value& x = in(node);
    std::vector<std::vector<double>> results;
    const Size2d size = windows(x, {op.kernel, op.stride, {1, 1}, op.padding, op.ceil_mode},
                                [&](int64_t n, int64_t, int64_t top, int64_t left) {
                                  std::vector<double>& row = results.emplace_back();
                                  for (int64_t c = 0; c < x.shape[1]; ++c) {
                                    double sum = 0;
                                    int64_t count = 0;
                                    for (int64_t y = top; y < top + op.kernel[0]; ++y)
                                      for (int64_t k = left; k < left + op.kernel[1]; ++k) {
                                        const bool inside = y >= 0 && k >= 0 && y < x.shape[2] && k < x.shape[3];
                                        const bool padded = op.padding.same || (y < x.shape[2] + op.padding.bottom &&
                                                                                k < x.shape[3] + op.padding.right);
                                        sum += at(x, n, c, y, k, 0);
                                        count += inside || ((op.count_include_pad || op.padding.same) && padded);
                                      }
                                    row.push_back(sum / static_cast<double>(count));
                                  }
                                });
    return to_nchw(results, x.shape[0], size, x.shape[1]);
  }

  // PyTorch's rule: position i of n covers floor(i · size / n) to ceil((i + 1) · size / n).
  Value compute(const AdaptiveAvgPool& op, const Node& node) {
    const Value& x = in(node);
    const int64_t height = op.only_smaller ? std::max(x.shape[2], op.size[0]) : op.size[0];
    const int64_t width = op.only_smaller ? std::max(x.shape[3], op.size[1]) : op.size[1];
    const double row = static_cast<double>(x.shape[2]) / height, column = static_cast<double>(x.shape[3]) / width;
    Value y{{x.shape[0], x.shape[1], height, width}, {}};
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (int64_t c = 0; c < x.shape[1]; ++c)
        for (int64_t i = 0; i < height; ++i)
          for (int64_t k = 0; k < width; ++k) {
            double sum = 0, count = 0;
            for (auto r = static_cast<int64_t>(i * row + 1e-9); r < (i + 1) * row - 1e-9; ++r)
              for (auto p = static_cast<int64_t>(k * column + 1e-9); p < (k + 1) * column - 1e-9; ++p, ++count)
                sum += at(x, n, c, r, p, 0);
            y.data.push_back(sum / count);
          }
    return y;
  }

  Value compute(const PoolChannels&, const Node& node) {
    const Value& x = in(node);
    Value y{{x.shape[0], 2, x.shape[2], x.shape[3]}, {}};
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (const bool largest : {false, true})
        for (int64_t row = 0; row < x.shape[2]; ++row)
          for (int64_t column = 0; column < x.shape[3]; ++column) {
            double sum = 0, best = -std::numeric_limits<double>::infinity();
            for (int64_t c = 0; c < x.shape[1]; ++c) {
              sum += at(x, n, c, row, column, 0);
              best = std::max(best, at(x, n, c, row, column, 0));
            }
            y.data.push_back(largest ? best : sum / static_cast<double>(x.shape[1]));
          }
    return y;
  }

  Value compute(const GlobalPool& op, const Node& node) {
    const Value& x = in(node);
    const int64_t batch = x.shape[0], channels = x.shape[1], plane = x.shape[2] * x.shape[3];
    Value y{{batch, node.channels}, std::vector<double>(batch * node.channels)};
    if (op.keep_dims) y.shape = {batch, node.channels, 1, 1};
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0, best = -std::numeric_limits<double>::infinity();
        for (int64_t p = 0; p < plane; ++p) {
          const double v = x.data[(n * channels + c) * plane + p];
          sum += v;
          best = std::max(best, v);
        }
        const double mean = sum / static_cast<double>(plane);
        double* row = &y.data[n * node.channels];
        if (op.kind == PoolKind::avg) row[c] = mean;
        if (op.kind == PoolKind::max) row[c] = best;
        if (op.kind == PoolKind::avgmax) row[c] = (mean + best) / 2;
        if (op.kind == PoolKind::catavgmax) {
          row[c] = mean;
          row[channels + c] = best;
        }
      }
    return y;
  }

  Value compute(const Linear& op, const Node& node) {
    const Value& x = in(node);
    const auto weight = parameter(op.weight, 0, 0), bias = parameter(op.bias, op.out_features, 0);
    const int64_t features = x.shape[1];
    Value y{{x.shape[0], op.out_features}, {}};
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (int64_t o = 0; o < op.out_features; ++o) {
        double sum = bias[o];
        for (int64_t i = 0; i < features; ++i) sum += weight[o * features + i] * x.data[n * features + i];
        y.data.push_back(sum);
      }
    return y;
  }

  Value compute(const Concat&, const Node& node) {
    Value y{in(node).shape, {}};
    y.shape[1] = node.channels;
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const Value& x = in(node, k);
        const int64_t size = static_cast<int64_t>(x.data.size()) / x.shape[0];
        y.data.insert(y.data.end(), x.data.begin() + n * size, x.data.begin() + (n + 1) * size);
      }
    return y;
  }

  Value compute(const Slice& op, const Node& node) {
    const Value& x = in(node);
    Value y{x.shape, {}};
    y.shape[1] = op.size;
    const int64_t plane = static_cast<int64_t>(x.data.size()) / (x.shape[0] * x.shape[1]);
    for (int64_t n = 0; n < x.shape[0]; ++n) {
      const auto begin = x.data.begin() + (n * x.shape[1] + op.begin) * plane;
      y.data.insert(y.data.end(), begin, begin + op.size * plane);
    }
    return y;
  }

  Value compute(const Pad& op, const Node& node) {
    const Value& x = in(node);
    const Padding& p = op.padding;
    Value y{{x.shape[0], x.shape[1], x.shape[2] + p.top + p.bottom, x.shape[3] + p.left + p.right}, {}};
    const auto reflect = [](int64_t i, int64_t size) { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; };
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (int64_t c = 0; c < y.shape[1]; ++c)
        for (int64_t row = -p.top; row < x.shape[2] + p.bottom; ++row)
          for (int64_t k = -p.left; k < x.shape[3] + p.right; ++k)
            y.data.push_back(op.mode == Pad::Mode::zeros
                                 ? at(x, n, c, row, k, 0)
                                 : at(x, n, c, reflect(row, x.shape[2]), reflect(k, x.shape[3]), 0));
    return y;
  }

  Value compute(const Upsample& op, const Node& node) {
    const Value& x = in(node);
    Value y{{x.shape[0], x.shape[1], x.shape[2] * op.factor, x.shape[3] * op.factor}, {}};
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (int64_t c = 0; c < y.shape[1]; ++c)
        for (int64_t row = 0; row < y.shape[2]; ++row)
          for (int64_t k = 0; k < y.shape[3]; ++k) y.data.push_back(at(x, n, c, row / op.factor, k / op.factor, 0));
    return y;
  }

  // PyTorch's rule: a pixel is a square, and what is nearest is where its upper left corner falls.
  Value compute(const Interpolate& op, const Node& node) {
    const Value& x = in(node);
    Value y{{x.shape[0], x.shape[1], 0, 0}, {}};
    for (size_t k = 0; k < 2; ++k) {
      const int64_t multiple = op.multiple_of[k], size = x.shape[k + 2];
      y.shape[k + 2] = node.inputs.size() > 1 ? in(node, 1).shape[k + 2] : (size + multiple - 1) / multiple * multiple;
    }
    const auto scale = [&](size_t k) { return static_cast<double>(x.shape[k]) / static_cast<double>(y.shape[k]); };
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (int64_t c = 0; c < y.shape[1]; ++c)
        for (int64_t i = 0; i < y.shape[2]; ++i)
          for (int64_t k = 0; k < y.shape[3]; ++k) {
            if (op.mode == Interpolate::Mode::nearest) {
              y.data.push_back(
                  at(x, n, c, static_cast<int64_t>(i * scale(2) + 1e-9), static_cast<int64_t>(k * scale(3) + 1e-9), 0));
              continue;
            }
            const auto from = [&](int64_t position, size_t axis) {
              if (op.mode == Interpolate::Mode::bilinear) return std::max(0.0, (position + 0.5) * scale(axis) - 0.5);
              return position * (x.shape[axis] - 1.0) / std::max<double>(y.shape[axis] - 1, 1);
            };
            const double row = from(i, 2), column = from(k, 3);
            double sum = 0;
            for (int64_t r = 0; r < x.shape[2]; ++r)
              for (int64_t q = 0; q < x.shape[3]; ++q)
                sum += at(x, n, c, r, q, 0) * std::max(0.0, 1 - std::abs(std::min<double>(row, x.shape[2] - 1) - r)) *
                       std::max(0.0, 1 - std::abs(std::min<double>(column, x.shape[3] - 1) - q));
            y.data.push_back(sum);
          }
    return y;
  }

  // Tokens are [N, C, L] here.
  Value compute(const ToPatches& op, const Node& node) {
    const Value& x = in(node);
    const auto [height, width] = op.patch;
    Value y{{x.shape[0] * height * width, x.shape[1], x.shape[2] * x.shape[3] / (height * width)}, {}};
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (int64_t i = 0; i < height; ++i)
        for (int64_t k = 0; k < width; ++k)
          for (int64_t c = 0; c < x.shape[1]; ++c)
            for (int64_t row = i; row < x.shape[2]; row += height)
              for (int64_t column = k; column < x.shape[3]; column += width)
                y.data.push_back(at(x, n, c, row, column, 0));
    return y;
  }

  Value compute(const FromPatches& op, const Node& node) {
    const Value &x = in(node, 0), &like = in(node, 1);
    const auto [height, width] = op.patch;
    const int64_t rows = (like.shape[2] + height - 1) / height, columns = (like.shape[3] + width - 1) / width;
    Value y{{like.shape[0], x.shape[1], rows * height, columns * width}, {}};
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (int64_t c = 0; c < y.shape[1]; ++c)
        for (int64_t row = 0; row < y.shape[2]; ++row)
          for (int64_t column = 0; column < y.shape[3]; ++column) {
            const int64_t sequence = (n * height + row % height) * width + column % width;
            const int64_t token = row / height * columns + column / width;
            y.data.push_back(x.data[static_cast<size_t>((sequence * y.shape[1] + c) * rows * columns + token)]);
          }
    return y;
  }

  Value compute(const SpaceToDepth& op, const Node& node) {
    const Value& x = in(node);
    const int64_t f = op.factor, channels = x.shape[1];
    Value y{{x.shape[0], channels * f * f, x.shape[2] / f, x.shape[3] / f}, {}};
    for (int64_t n = 0; n < y.shape[0]; ++n)
      for (int64_t i = 0; i < f; ++i)
        for (int64_t k = 0; k < f; ++k)
          for (int64_t c = 0; c < channels; ++c)
            for (int64_t row = 0; row < y.shape[2]; ++row)
              for (int64_t column = 0; column < y.shape[3]; ++column)
                y.data.push_back(at(x, n, c, row * f + i, column * f + k, 0));
    return y;
  }

  Value compute(const ChannelConv& op, const Node& node) {
    const Value& x = in(node);
    const auto weight = parameter(op.weight, 0, 0);
    const int64_t channels = x.shape[1];
    return map(x, [&](double, int64_t c, size_t i) {
      double sum = 0;
      for (int64_t k = 0; k < op.kernel; ++k) {
        const int64_t from = c + k - (op.kernel - 1) / 2;
        if (from >= 0 && from < channels) sum += weight[k] * x.data[static_cast<int64_t>(i) - c + from];
      }
      return sum;
    });
  }

  Value compute(const Flatten&, const Node& node) {
    Value y = in(node);
    y.shape = {y.shape[0], static_cast<int64_t>(y.data.size()) / y.shape[0]};
    return y;
  }

  // Operations with tests of their own.
  template <class Op>
  Value compute(const Op&, const Node& node) {
    throw std::logic_error("the reference interpreter does not know " + node.name);
  }

  const Graph& graph_;
  const Value& input_;
  std::map<NodeId, Value> values_;
};

}  // namespace

std::vector<float> test_parameter(const Parameter& parameter, ParameterId id) {
  if (parameter.init == Init::constant) return parameter.constant;
  std::minstd_rand random(static_cast<unsigned>(id) + 1);
  const bool positive = parameter.name.ends_with("running_var");
  std::uniform_real_distribution<float> noise(positive ? 0.5f : -1.0f, positive ? 1.5f : 1.0f);
  std::vector<float> values(element_count(parameter.shape));
  for (float& v : values) v = noise(random);
  return values;
}

Value evaluate(const Graph& graph, NodeId output, const Value& input) {
  return Interpreter(graph, input).value(output);
}

}  // namespace wimm::testing
