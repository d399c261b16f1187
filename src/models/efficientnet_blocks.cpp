// Blocks of the EfficientNet and MobileNet families.
#include "models/efficientnet_blocks.h"

#include <cmath>
#include <string>
#include <utility>

#include "nn/attention.h"
#include "nn/blur_pool.h"
#include "nn/channels.h"
#include "nn/transformer.h"

namespace wimm::efficientnet {
namespace {

using nn::Scope;

// timm's pad_type: TensorFlow's, or symmetric. An even kernel can only have TensorFlow's.
Padding conv_padding(int64_t kernel, int64_t stride, const Style& style) {
  const bool symmetric = stride == 1 && kernel % 2 == 1;
  return (style.tf_padding && !symmetric) || kernel % 2 == 0 ? nn::tf_same : nn::same_size_padding(kernel, stride);
}

int64_t group_count(int64_t group_size, int64_t channels) { return group_size > 0 ? channels / group_size : 1; }

// The i-th of `parts` shares of `channels`; the first takes the remainder.
int64_t share(int64_t channels, int64_t parts, int64_t i) { return channels / parts + (i == 0 ? channels % parts : 0); }

NodeId mixed_conv(const Layers& layers, NodeId x, const ConvArgs& args) {
  const auto parts = static_cast<int64_t>(args.kernels.size());
  std::vector<NodeId> outputs;
  for (int64_t i = 0, begin = 0; i < parts; ++i) {
    const int64_t in = share(layers.channels(x), parts, i);
    outputs.push_back(layers.conv(std::to_string(i), layers.scope()[i].slice(x, begin, in),
                                  {.out_channels = share(args.out_channels, parts, i),
                                   .kernels = {args.kernels[static_cast<size_t>(i)]},
                                   .stride = args.stride,
                                   .groups = args.groups > 1 ? in : 1}));
    begin += in;
  }
  return layers.scope().concat(std::move(outputs));
}

// EvoNorm-S0 is its own activation; where none is wanted only its affine step remains.
NodeId evo_norm(const Scope& scope, std::string_view name, NodeId x, const Norm& norm, bool activate) {
  const int64_t c = scope.channels(x);
  if (activate) return scope.evo_norm_s0(name, x, group_count(norm.group_size, c), norm.eps);
  const ParameterId weight = scope[name].parameter("weight", {c}, Init::ones);
  const ParameterId bias = scope[name].parameter("bias", {c}, Init::zeros);
  return scope[name].node(Affine{.weight = weight, .bias = bias}, {x}, c);
}

// A block of any type: its layers under its module path.
class Block {
 public:
  Block(const Scope& scope, Style style, const BlockArgs& args)
      : layers_(scope, with_activation(style, args)), args_(args) {}

  NodeId build(NodeId x) const {
    const NodeId y = body(x);
    const bool same_shape = args_.stride == 1 && channels(x) == channels(y);
    return args_.residual && same_shape ? layers_.scope().add(y, x) : y;
  }

 private:
  static Style with_activation(Style style, const BlockArgs& args) {
    style.activation = args.activation.value_or(style.activation);
    return style;
  }

  int64_t channels(NodeId x) const { return layers_.channels(x); }

  NodeId body(NodeId x) const {
    switch (args_.type) {
      case BlockType::depthwise_separable:
        return depthwise_separable(x);
      case BlockType::inverted_residual:
        return args_.experts > 0 ? conditional_residual(x) : inverted_residual(x);
      case BlockType::edge_residual:
        return edge_residual(x);
      case BlockType::conv_norm_act:
        return conv_norm_act(x);
      case BlockType::universal_inverted_residual:
        return universal_inverted_residual(x);
      case BlockType::mobile_attention:
        return mobile_attention(x);
    }
    return x;
  }

  // The main convolution, which carries the stride.
  ConvArgs strided(int64_t out_channels, const KernelSizes& kernels) const {
    return {out_channels, kernels, args_.stride, group_count(args_.group_size, out_channels)};
  }

  int64_t mid_channels(NodeId x) const {
    if (args_.mid_channels > 0) return args_.mid_channels;
    const int64_t in = args_.expansion_channels > 0 ? args_.expansion_channels : channels(x);
    return nn::make_divisible(static_cast<double>(in) * args_.expansion);
  }

  // The convolution by which a space-to-depth region begins halves the kernel of the next one.
  std::pair<NodeId, KernelSizes> space_to_depth(NodeId x) const {
    if (!args_.space_to_depth) return {x, args_.kernels};
    const NodeId deep = layers_.conv("conv_s2d", x, {.out_channels = 4 * channels(x), .kernels = {2}, .stride = 2});
    return {layers_.norm("bn_s2d", deep), {(args_.kernels[0] + 1) / 2}};
  }

  NodeId depthwise_separable(NodeId x) const {
    const auto [deep, kernels] = space_to_depth(x);
    const NodeId depthwise = layers_.conv_norm("conv_dw", "bn1", deep, strided(channels(deep), kernels));
    const NodeId scaled = layers_.squeeze_excite(depthwise, args_);
    return layers_.conv_norm("conv_pw", "bn2", scaled, {args_.out_channels, args_.end_kernels}, args_.activate_last);
  }

  NodeId inverted_residual(NodeId x) const {
    const auto [deep, kernels] = space_to_depth(x);
    const int64_t mid = mid_channels(deep);
    const NodeId expanded = layers_.conv_norm("conv_pw", "bn1", deep, {mid, args_.start_kernels});
    const NodeId depthwise = layers_.conv_norm("conv_dw", "bn2", expanded, strided(mid, kernels));
    const NodeId scaled = layers_.squeeze_excite(depthwise, args_);
    return layers_.conv_norm("conv_pwl", "bn3", scaled, {args_.out_channels, args_.end_kernels}, false);
  }

  // An inverted residual whose kernels are mixtures of `experts` kernels, weighted by a routing of the block's input.
  NodeId conditional_residual(NodeId x) const {
    const Scope& scope = layers_.scope();
    const NodeId pooled = scope.global_pool("routing_pool", x, PoolKind::avg);
    const NodeId routing = scope["routing_fn"].node(Linear{.out_features = args_.experts}, {pooled}, args_.experts);
    const NodeId weights = scope.activate("routing_act", routing, Activation::sigmoid);

    const int64_t mid = mid_channels(x);
    const NodeId expanded = layers_.norm("bn1", conditional_conv("conv_pw", x, weights, {mid}));
    const NodeId depthwise =
        layers_.norm("bn2", conditional_conv("conv_dw", expanded, weights, strided(mid, args_.kernels)));
    const NodeId scaled = layers_.squeeze_excite(depthwise, args_);
    const NodeId y = layers_.norm("bn3", conditional_conv("conv_pwl", scaled, weights, {args_.out_channels}), false);

    // In timm's order the routing's parameters are the block's last.
    auto& linear = std::get<Linear>(scope.graph().nodes[static_cast<size_t>(routing)].op);
    linear.weight = scope["routing_fn"].parameter("weight", {args_.experts, channels(x)}, Init::linear);
    linear.bias = scope["routing_fn"].parameter("bias", {args_.experts}, Init::zeros);
    return y;
  }

  // Convolution is linear in its kernel: the mixture is taken of the experts' results, computed as one convolution.
  NodeId conditional_conv(std::string_view name, NodeId x, NodeId weights, const ConvArgs& args) const {
    const Scope scope = layers_.scope()[name];
    const int64_t experts = args_.experts, out = args.out_channels, kernel = args.kernels[0];
    const int64_t kernel_elements = channels(x) / args.groups * kernel * kernel;
    Conv2d conv{.out_channels = experts * out,
                .kernel = {kernel, kernel},
                .stride = {args.stride, args.stride},
                .padding = conv_padding(kernel, args.stride, layers_.style()),
                .weight = scope.parameter("weight", {experts, out * kernel_elements}, Init::linear)};
    if (args.groups > 1) {
      x = scope.concat(std::vector<NodeId>(static_cast<size_t>(experts), x));
      conv.groups = experts * args.groups;
    }
    const NodeId results = scope.node(std::move(conv), {x}, experts * out);
    return scope.node(MixExperts{.experts = experts}, {results, weights}, out);
  }

  NodeId edge_residual(NodeId x) const {
    const NodeId expanded = layers_.conv_norm("conv_exp", "bn1", x, strided(mid_channels(x), args_.kernels));
    const NodeId scaled = layers_.squeeze_excite(expanded, args_);
    return layers_.conv_norm("conv_pwl", "bn2", scaled, {args_.out_channels, args_.end_kernels}, false);
  }

  NodeId conv_norm_act(NodeId x) const {
    return layers_.conv_norm("conv", "bn1", x, strided(args_.out_channels, args_.kernels));
  }

  // A depthwise convolution of a universal block, where it has one there.
  NodeId universal_depthwise(std::string_view name, NodeId x, const KernelSizes& kernels, bool carries_stride,
                             bool activate) const {
    if (kernels[0] == 0) return x;
    const int64_t stride = carries_stride ? args_.stride : 1;
    return layers_[name].conv_norm(
        "conv", "bn", x, {channels(x), kernels, stride, group_count(args_.group_size, channels(x))}, activate);
  }

  NodeId universal_inverted_residual(NodeId x) const {
    const bool has_main = args_.kernels[0] > 0;
    const NodeId start = universal_depthwise("dw_start", x, args_.start_kernels, !has_main, false);
    const NodeId expanded = layers_["pw_exp"].conv_norm("conv", "bn", start, {mid_channels(x)});
    const NodeId depthwise = universal_depthwise("dw_mid", expanded, args_.kernels, true, true);
    const NodeId projected = layers_["pw_proj"].conv_norm("conv", "bn", depthwise, {args_.out_channels}, false);
    return layers_.layer_scale(projected);
  }

  NodeId mobile_attention(NodeId x) const {
    const Layers attn = layers_["attn"];
    const NodeId normed = layers_.norm("norm", x, false);
    const NodeId query = attn["query"].conv("proj", normed, {args_.heads * args_.key_dim});
    const NodeId key = key_or_value(attn["key"], normed), value = key_or_value(attn["value"], normed);

    const auto tokens = [&](NodeId map) { return attn.scope().node(ToTokens{}, {map}, channels(map)); };
    const NodeId mixed = nn::attend(attn.scope(), tokens(query), tokens(key), tokens(value), args_.heads, 1);
    const NodeId image = attn.scope().node(ToImage{}, {mixed, query}, channels(mixed));
    return layers_.layer_scale(attn["output"].conv("proj", image, {args_.out_channels}));
  }

  NodeId key_or_value(const Layers& layers, NodeId x) const {
    if (args_.kv_stride > 1) {
      const ConvArgs down{channels(x), args_.kernels, args_.kv_stride, channels(x)};
      x = layers.norm("norm", layers.conv("down_conv", x, down), false);
    }
    return layers.conv("proj", x, {args_.key_dim});
  }

  Layers layers_;
  const BlockArgs& args_;
};

}  // namespace

int64_t ChannelRounding::operator()(double channels) const {
  return nn::make_divisible(channels * multiplier, divisor, 0, round_limit);
}

NodeId Layers::conv(std::string_view name, NodeId x, const ConvArgs& args) const {
  if (args.kernels.size() > 1) return mixed_conv((*this)[name], x, args);
  const int64_t kernel = args.kernels[0];
  return scope_.conv2d(name, x,
                       {.out_channels = args.out_channels,
                        .kernel = kernel,
                        .stride = args.stride,
                        .groups = args.groups,
                        .padding = conv_padding(kernel, args.stride, style_)});
}

NodeId Layers::norm(std::string_view name, NodeId x, bool activate) const {
  const Norm& norm = style_.norm;
  const auto normed = [&] {
    switch (norm.kind) {
      case Norm::Kind::batch:
        return scope_.batch_norm(name, x, norm.eps);
      case Norm::Kind::group:
        return scope_.group_norm(name, x, channels(x) / norm.group_size, norm.eps);
      case Norm::Kind::layer:
        return scope_.layer_norm(name, x, norm.eps);
      case Norm::Kind::evo_s0:
        return evo_norm(scope_, name, x, norm, activate);
    }
    return x;
  }();
  const bool has_activation = activate && norm.kind != Norm::Kind::evo_s0;
  return has_activation ? scope_[name].activate("act", normed, style_.activation) : normed;
}

NodeId Layers::conv_norm(std::string_view conv_name, std::string_view norm_name, NodeId x, ConvArgs args,
                         bool activate) const {
  const bool pooled = style_.anti_alias != AntiAlias::none && args.stride > 1;
  const int64_t stride = pooled ? std::exchange(args.stride, 1) : 1;
  const NodeId y = norm(norm_name, conv(conv_name, x, args), activate);
  if (!pooled) return y;
  if (style_.anti_alias == AntiAlias::blur) return nn::blur_pool(scope_["aa"], y, Pad::Mode::zeros);
  return scope_.avg_pool("aa", y, {.kernel = {stride, stride}, .stride = {stride, stride}});
}

NodeId Layers::squeeze_excite(NodeId x, const BlockArgs& block) const {
  if (block.squeeze_ratio == 0) return x;
  const SqueezeExcite& se = style_.squeeze_excite;
  const double squeezed = static_cast<double>(channels(x)) * block.squeeze_ratio;
  if (se.global_context) {
    return nn::global_context(scope_["se"], x, nn::make_divisible(squeezed, 1, 0, 0), style_.activation);
  }
  int64_t reduced = block.squeezed_channels;
  if (reduced == 0) reduced = se.rounding ? (*se.rounding)(squeezed) : std::llrint(squeezed);
  return nn::squeeze_excite(scope_["se"], x,
                            {.reduced_channels = reduced,
                             .activation = se.activation.value_or(style_.activation),
                             .gate = se.gate,
                             .reduce = "conv_reduce",
                             .expand = "conv_expand"});
}

NodeId Layers::layer_scale(NodeId x) const {
  if (!style_.layer_scale) return x;
  const Scope scope = scope_["layer_scale"];
  return scope.node(Affine{.weight = scope.parameter("gamma", {channels(x)}, Init::ones)}, {x}, channels(x));
}

NodeId build_block(const Scope& scope, const Style& style, const BlockArgs& args, NodeId x) {
  return Block(scope, style, args).build(x);
}

}  // namespace wimm::efficientnet
