// Parameters and nodes under timm's module path.
#include "nn/scope.h"

#include <cmath>
#include <utility>

namespace wimm::nn {

Padding same_size_padding(Extent kernel, int64_t stride, int64_t dilation) {
  const int64_t rows = ((stride - 1) + dilation * (kernel.height - 1)) / 2;
  const int64_t columns = ((stride - 1) + dilation * (kernel.width - 1)) / 2;
  return {.top = rows, .left = columns, .bottom = rows, .right = columns};
}

Padding padding(int64_t all_sides) {
  return {.top = all_sides, .left = all_sides, .bottom = all_sides, .right = all_sides};
}

Scope Scope::operator[](std::string_view module) const {
  Scope child = *this;
  if (!child.path_.empty()) child.path_ += '.';
  child.path_ += module;
  return child;
}

Scope Scope::operator[](int64_t index) const { return (*this)[std::to_string(index)]; }

ParameterId Scope::parameter(std::string_view name, Shape shape, Init init) const {
  return graph_->add(Parameter{.name = (*this)[name].path_, .shape = std::move(shape), .init = init});
}

ParameterId Scope::constant(std::string_view name, Shape shape, std::vector<float> values) const {
  const ParameterId id = parameter(name, std::move(shape), Init::constant);
  graph_->parameters[id].constant = std::move(values);
  return id;
}

NodeId Scope::node(Op op, std::vector<NodeId> inputs, int64_t channels) const {
  return graph_->add(std::move(op), std::move(inputs), path_, channels);
}

Conv2d Scope::declare_conv2d(std::string_view name, int64_t in_channels, const ConvOptions& options) const {
  const Scope scope = (*this)[name];
  const auto [height, width] = options.kernel;
  Conv2d conv{.out_channels = options.out_channels,
              .kernel = {height, width},
              .stride = {options.stride, options.stride},
              .dilation = {options.dilation, options.dilation},
              .padding = options.padding,
              .groups = options.groups,
              .standardize = options.standardize,
              .repeats = options.repeats};
  const Shape shape{options.out_channels / options.repeats, in_channels / options.groups, height, width};
  conv.weight = scope.parameter("weight", shape, Init::conv);
  if (options.bias) conv.bias = scope.parameter("bias", {options.out_channels / options.repeats}, Init::zeros);
  if (options.gain) {
    conv.gain = scope.parameter("gain", {options.out_channels, 1, 1, 1}, Init::ones);
    conv.gain_scale = *options.gain / std::sqrt(static_cast<double>(shape[1] * height * width));
  }
  return conv;
}

Affine Scope::declare_statistics(int64_t channels, double eps) const {
  return {.weight = parameter("weight", {channels}, Init::ones),
          .bias = parameter("bias", {channels}, Init::zeros),
          .mean = parameter("running_mean", {channels}, Init::zeros),
          .var = parameter("running_var", {channels}, Init::ones),
          .eps = eps};
}

Linear Scope::declare_linear(std::string_view name, int64_t in_features, int64_t out_features, bool bias) const {
  const Scope scope = (*this)[name];
  Linear linear{.out_features = out_features,
                .weight = scope.parameter("weight", {out_features, in_features}, Init::linear)};
  if (bias) linear.bias = scope.parameter("bias", {out_features}, Init::zeros);
  return linear;
}

Affine Scope::declare_batch_norm(std::string_view name, int64_t channels, double eps) const {
  const Scope scope = (*this)[name];
  const Affine norm = scope.declare_statistics(channels, eps);
  graph_->parameters[scope.parameter("num_batches_tracked", {}, Init::zeros)].dtype = DType::int64;
  return norm;
}

LayerNorm Scope::declare_layer_norm(std::string_view name, int64_t channels, double eps) const {
  const Scope scope = (*this)[name];
  return {.eps = eps,
          .weight = scope.parameter("weight", {channels}, Init::ones),
          .bias = scope.parameter("bias", {channels}, Init::zeros)};
}

NodeId Scope::input(const Input& input) const { return (*this)["input"].node(input, {}, input.channels); }

NodeId Scope::conv2d(std::string_view name, NodeId x, const ConvOptions& options) const {
  Conv2d conv = declare_conv2d(name, channels(x), options);
  const Op& source = graph_->nodes[x].op;
  graph_->parameters[conv.weight].takes_input = std::holds_alternative<Input>(source) ||
                                                std::holds_alternative<SpaceToDepth>(source) ||
                                                std::holds_alternative<Resize>(source);
  return (*this)[name].node(std::move(conv), {x}, options.out_channels);
}

NodeId Scope::batch_norm(std::string_view name, NodeId x, double eps) const {
  return (*this)[name].node(declare_batch_norm(name, channels(x), eps), {x}, channels(x));
}

NodeId Scope::inplace_batch_norm(std::string_view name, NodeId x, double eps) const {
  const Scope scope = (*this)[name];
  return scope.node(scope.declare_statistics(channels(x), eps), {x}, channels(x));
}

NodeId Scope::group_norm(std::string_view name, NodeId x, int64_t groups, double eps) const {
  const Scope scope = (*this)[name];
  const int64_t c = channels(x);
  GroupNorm norm{.groups = groups,
                 .eps = eps,
                 .weight = scope.parameter("weight", {c}, Init::ones),
                 .bias = scope.parameter("bias", {c}, Init::zeros)};
  return scope.node(norm, {x}, c);
}

NodeId Scope::layer_norm(std::string_view name, NodeId x, double eps) const {
  return (*this)[name].node(declare_layer_norm(name, channels(x), eps), {x}, channels(x));
}

NodeId Scope::rms_norm(std::string_view name, NodeId x, double eps, bool variance) const {
  const Scope scope = (*this)[name];
  const ParameterId weight = scope.parameter("weight", {channels(x)}, Init::ones);
  return scope.node(RmsNorm{eps, weight, variance}, {x}, channels(x));
}

NodeId Scope::global_response_norm(std::string_view name, NodeId x, double eps) const {
  const Scope scope = (*this)[name];
  const int64_t c = channels(x);
  GlobalResponseNorm norm{.eps = eps,
                          .weight = scope.parameter("weight", {c}, Init::zeros),
                          .bias = scope.parameter("bias", {c}, Init::zeros)};
  return scope.node(norm, {x}, c);
}

NodeId Scope::evo_norm_s0(std::string_view name, NodeId x, int64_t groups, double eps, bool gated) const {
  const Scope scope = (*this)[name];
  const int64_t c = channels(x);
  EvoNormS0 norm{.groups = groups, .eps = eps};
  norm.weight = scope.parameter("weight", {c}, Init::ones);
  norm.bias = scope.parameter("bias", {c}, Init::zeros);
  if (gated) norm.v = scope.parameter("v", {c}, Init::ones);
  return scope.node(norm, {x}, c);
}

NodeId Scope::filter_response_norm(std::string_view name, NodeId x, double eps) const {
  const Scope scope = (*this)[name];
  const int64_t c = channels(x);
  FilterResponseNorm norm{.eps = eps,
                          .weight = scope.parameter("weight", {c}, Init::ones),
                          .bias = scope.parameter("bias", {c}, Init::zeros),
                          .tau = scope.parameter("tau", {c}, Init::zeros)};
  return scope.node(norm, {x}, c);
}

NodeId Scope::linear(std::string_view name, NodeId x, int64_t out_features, bool bias) const {
  return (*this)[name].node(declare_linear(name, channels(x), out_features, bias), {x}, out_features);
}

NodeId Scope::activate(std::string_view name, NodeId x, Activation activation) const {
  return (*this)[name].node(Activate{activation}, {x}, channels(x));
}

NodeId Scope::add(NodeId a, NodeId b) const { return node(Binary{Binary::Kind::add}, {a, b}, channels(a)); }

NodeId Scope::mul(NodeId a, NodeId b) const { return node(Binary{Binary::Kind::mul}, {a, b}, channels(a)); }

NodeId Scope::scale(NodeId x, float factor) const {
  const ParameterId weight =
      constant("scale", {channels(x)}, std::vector<float>(static_cast<size_t>(channels(x)), factor));
  return (*this)["scale"].node(Affine{.weight = weight}, {x}, channels(x));
}

NodeId Scope::max_pool(std::string_view name, NodeId x, const MaxPool& pool) const {
  return (*this)[name].node(pool, {x}, channels(x));
}

NodeId Scope::avg_pool(std::string_view name, NodeId x, const AvgPool& pool) const {
  return (*this)[name].node(pool, {x}, channels(x));
}

NodeId Scope::global_pool(std::string_view name, NodeId x, PoolKind kind, bool keep_dims) const {
  const int64_t multiple = kind == PoolKind::catavgmax ? 2 : 1;
  return (*this)[name].node(GlobalPool{kind, keep_dims}, {x}, multiple * channels(x));
}

NodeId Scope::concat(std::vector<NodeId> values) const {
  int64_t total = 0;
  for (const NodeId value : values) total += channels(value);
  return node(Concat{}, std::move(values), total);
}

NodeId Scope::slice(NodeId x, int64_t begin, int64_t size) const { return node(Slice{begin, size}, {x}, size); }

}  // namespace wimm::nn
