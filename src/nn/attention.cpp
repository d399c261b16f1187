// Squeeze-and-excitation and efficient channel attention, as timm/layers/squeeze_excite.py, global_context.py,
// eca.py and split_attn.py.
#include "nn/attention.h"

#include <algorithm>
#include <cmath>

#include "nn/channels.h"
#include "nn/conv_norm_act.h"

namespace wimm::nn {
namespace {

NodeId amplify(const Scope& scope, NodeId gate, float gain) {
  return gain == 1 ? gate : scope["gate"].scale(gate, gain);
}

}  // namespace

NodeId squeeze_excite(const Scope& scope, NodeId x, const SqueezeExciteOptions& options) {
  const NodeId pooled = scope.global_pool("pool", x, PoolKind::avg, true);
  NodeId reduced =
      scope.conv2d(options.reduce, pooled, {.out_channels = options.reduced_channels, .bias = options.bias});
  if (options.norm) reduced = scope.batch_norm("bn", reduced);
  const NodeId active = scope.activate("act", reduced, options.activation);
  const NodeId expanded =
      scope.conv2d(options.expand, active, {.out_channels = scope.channels(x), .bias = options.bias});
  return scope.mul(x, amplify(scope, scope.activate("gate", expanded, options.gate), options.gain));
}

NodeId effective_squeeze_excite(const Scope& scope, NodeId x) {
  const NodeId pooled = scope.global_pool("pool", x, PoolKind::avg, true);
  const NodeId gate = scope.conv2d("fc", pooled, {.out_channels = scope.channels(x), .bias = true});
  return scope.mul(x, scope.activate("gate", gate, Activation::hard_sigmoid));
}

NodeId bilinear_attention(const Scope& scope, NodeId x, int64_t block) {
  constexpr int64_t groups = 2;
  const auto conv = [](const Scope& module, std::string_view name, NodeId value, int64_t out) {
    return conv_norm_act(module, name, value, {.out_channels = out});
  };
  const NodeId reduced = conv(scope, "conv1", x, make_divisible(static_cast<double>(scope.channels(x)) / 4));
  const Scope ba = scope["ba"];
  const NodeId grouped = conv(ba, "conv1", reduced, groups);
  const auto matrices = [&](std::string_view name, Size2d cells) {
    const NodeId pooled = ba[name].node(AdaptiveMaxPool{cells}, {grouped}, groups);
    return ba.conv2d(name, pooled,
                     {.out_channels = block * block * groups, .kernel = Extent(cells[0], cells[1]), .bias = true});
  };
  const NodeId p = matrices("conv_p", {block, 1}), q = matrices("conv_q", {1, block});
  const NodeId mixed = ba.node(BilinearTransform{block, groups}, {reduced, p, q}, scope.channels(reduced));
  return scope.add(conv(scope, "conv2", conv(ba, "conv2", mixed, scope.channels(reduced)), scope.channels(x)), x);
}

NodeId global_context(const Scope& scope, NodeId x, int64_t reduced_channels, Activation activation,
                      ContextFusion fusion) {
  const NodeId logits = scope.conv2d("conv_attn", x, {.out_channels = 1, .bias = true});
  const NodeId context = scope["context"].node(AttentionPool{}, {x, logits}, scope.channels(x));
  const Scope mlp = scope[fusion == ContextFusion::add ? "mlp_add" : "mlp_scale"];
  const NodeId reduced = mlp.conv2d("fc1", context, {.out_channels = reduced_channels, .bias = true});
  const NodeId active = mlp.activate("act", mlp.layer_norm("norm", reduced), activation);
  const NodeId expanded = mlp.conv2d("fc2", active, {.out_channels = scope.channels(x), .bias = true});
  if (fusion == ContextFusion::add) return scope.add(x, expanded);
  return scope.mul(x, scope.activate("gate", expanded, Activation::sigmoid));
}

NodeId efficient_channel_attention(const Scope& scope, NodeId x, int64_t kernel, float gain) {
  const Scope conv = scope["conv"];
  const NodeId pooled = scope.global_pool("pool", x, PoolKind::avg, true);
  const ParameterId weight = conv.parameter("weight", {1, 1, kernel}, Init::conv);
  const NodeId mixed = conv.node(ChannelConv{.kernel = kernel, .weight = weight}, {pooled}, scope.channels(x));
  return scope.mul(x, amplify(scope, scope.activate("gate", mixed, Activation::sigmoid), gain));
}

int64_t eca_kernel(int64_t channels) {
  const auto nearest = static_cast<int64_t>((std::log2(static_cast<double>(channels)) + 1) / 2);
  return std::max<int64_t>(nearest | 1, 3);
}

NodeId split_attention(const Scope& scope, NodeId x, int64_t radix, int64_t groups) {
  const int64_t channels = scope.channels(x), splits = channels * radix;
  x = scope.conv2d("conv", x, {.out_channels = splits, .kernel = 3, .groups = groups * radix, .padding = padding(1)});
  x = scope.activate("act0", scope.batch_norm("bn0", x), Activation::relu);
  const NodeId pooled = scope.global_pool("pool", x, PoolKind::avg, true);
  NodeId sum = scope.slice(pooled, 0, channels);
  for (int64_t r = 1; r < radix; ++r) sum = scope.add(sum, scope.slice(pooled, r * channels, channels));
  const int64_t reduced = make_divisible(static_cast<double>(splits) / 4, 8, 32);
  NodeId gate = scope.conv2d("fc1", sum, {.out_channels = reduced, .groups = groups, .bias = true});
  gate = scope.activate("act1", scope.batch_norm("bn1", gate), Activation::relu);
  gate = scope.conv2d("fc2", gate, {.out_channels = splits, .groups = groups, .bias = true});
  if (radix == 1) return scope.mul(x, scope.activate("gate", gate, Activation::sigmoid));
  return scope["rsoftmax"].node(MixSplits{.radix = radix, .groups = groups}, {x, gate}, channels);
}

}  // namespace wimm::nn
