// Blocks, stages and head.
#include "models/lowformer_builder.h"

#include <algorithm>

#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm::lowformer {
namespace {

using nn::Scope;

struct Conv {
  int64_t channels, kernel = 1, stride = 1, groups = 1;
  bool bias = false, norm = true, activate = true;
};

NodeId conv(const Scope& scope, NodeId x, const Conv& conv) {
  nn::ConvOptions options{.out_channels = conv.channels,
                          .kernel = conv.kernel,
                          .stride = conv.stride,
                          .groups = conv.groups,
                          .padding = nn::padding(conv.kernel / 2),
                          .bias = conv.bias};
  const bool shifted = conv.kernel == 2 && conv.stride == 1;
  if (conv.kernel == 2) options.padding = {.top = shifted, .left = shifted};
  x = shifted ? scope["conv"].conv2d("1", x, options) : scope.conv2d("conv", x, options);
  if (conv.norm) x = scope.batch_norm("norm", x);
  return conv.activate ? scope.activate("act", x, Activation::hard_swish) : x;
}

class Builder {
 public:
  Builder(const Spec& spec, Network& network) : spec_(spec), network_(network), root_(network.graph) {}

  void build(const BuildOptions& options) {
    const Scope stem = root_["stem"];
    network_.input = root_.input(options.in_chans);
    NodeId x = conv(stem["0"], network_.input, {spec_.channels, 3, 2});
    for (int64_t i = 1; i <= spec_.depths[0]; ++i)
      x = stem.add(fused_block(stem[i]["main"], x, {spec_.channels, spec_.stem_ratio}), x);
    for (int64_t stage = 1; stage < 5; ++stage) {
      const Scope scope = root_["stages"][stage - 1];
      const int64_t channels = spec_.channels << stage, depth = spec_.depths[static_cast<size_t>(stage)];
      x = fused_block(scope["0"]["main"], x, {channels, spec_.ratio, 2});
      for (int64_t i = 1; stage < 3 && i < depth; ++i)
        x = scope.add(fused_block(scope[i]["main"], x, {.channels = channels}), x);
      for (int64_t i = 1; stage >= 3 && i <= depth; ++i) x = attention_block(scope[i], x, stage == 3 ? 2 : 1);
      network_.add_level(x, 2 << stage, scope.path());
    }
    head(spec_.cpubone ? root_["head"] : root_, x, options);
  }

 private:
  struct Fused {
    int64_t channels, ratio = 4, stride = 1;
    bool local = false;  // behind attention
  };

  int64_t groups() const { return spec_.cpubone ? 2 : 1; }
  int64_t local_kernel() const { return spec_.cpubone ? 2 : 3; }

  NodeId fused_block(const Scope& scope, NodeId x, const Fused& block) const {
    const int64_t hidden = block.ratio * scope.channels(x), kernel = block.local ? local_kernel() : 3;
    x = conv(scope["spatial_conv"], x, {hidden, kernel, block.stride, groups(), block.local});
    return conv(scope["point_conv"], x, {.channels = block.channels, .activate = false});
  }

  NodeId wide_block(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x), hidden = 4 * channels;
    const bool first = spec_.norms == Norms::all, second = spec_.norms != Norms::last;
    x = conv(scope["inverted_conv"], x, {hidden, 1, 1, groups(), !first, first});
    x = conv(scope["depth_conv"], x, {hidden, local_kernel(), 1, hidden, !second, second});
    return conv(scope["point_conv"], x, {.channels = channels, .activate = false});
  }

  // Back to the size before the stride.
  NodeId upsample(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    if (spec_.cpubone) {
      x = scope.conv2d("0", x, {.out_channels = channels, .bias = true});
      return stride == 1 ? x : scope.node(Upsample{stride}, {x}, channels);
    }
    const int64_t kernel = stride == 1 ? 3 : 2 * stride, padding = stride == 1 ? 1 : stride / 2;
    return scope.node(
        ConvTranspose2d{.out_channels = channels,
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding,
                        .groups = 1,
                        .weight = scope.parameter("weight", {scope.channels(x), channels, kernel, kernel}, Init::conv),
                        .bias = scope.parameter("bias", {channels}, Init::zeros)},
        {x}, channels);
  }

  // Among every second pixel, or among all.
  NodeId attention(const Scope& scope, NodeId x, int64_t stride) const {
    const int64_t channels = scope.channels(x), heads = std::max<int64_t>(1, channels / 2 / 30),
                  depth = channels / heads / 2, width = heads * depth, kernel = stride > 1 ? 5 : 3;
    NodeId y = x;
    if (spec_.cpubone) y = scope.node(Pad{.multiple_of = {stride, stride}}, {x}, channels);
    y = conv(scope["conv_proj"], y, {channels, spec_.cpubone ? 2 : kernel, stride, channels, false, true, false});
    const NodeId qkv = scope.conv2d("pwise", y, {.out_channels = 3 * width});
    Attention op = nn::attention_of(3 * width, heads);
    op.windows = Windows{};
    op.q = {0, 3 * depth, depth};
    op.k = {depth, 3 * depth, depth};
    op.v = {2 * depth, 3 * depth, depth};
    y = upsample(scope["upsampling"], scope.node(op, {qkv, qkv, qkv}, width), channels, stride);
    return stride == 1 ? y : scope.node(Crop{}, {y, x}, channels);
  }

  NodeId mlp(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    x = scope.conv2d("1", scope.group_norm("0", x, 1), {.out_channels = 4 * channels, .bias = true});
    return scope.conv2d("3", scope.activate("2", x, Activation::gelu), {.out_channels = channels, .bias = true});
  }

  NodeId attention_block(const Scope& scope, NodeId x, int64_t stride) const {
    const Scope total = scope["total"], context = total["0"];
    const Scope attn = (spec_.cpubone ? context["0"] : scope["attn"])["main"],
                refine = (spec_.cpubone ? context["1"] : scope["mlp"])["main"],
                local = (spec_.cpubone ? total["1"] : scope["local"])["main"];
    const int64_t channels = scope.channels(x);
    if (spec_.attention) {
      const NodeId y =
          spec_.mlp ? attention(attn["1"], attn.group_norm("0", x, 1), stride) : attention(attn, x, stride);
      x = scope.add(y, x);
    }
    if (spec_.mlp) x = scope.add(mlp(refine, x), x);
    return scope.add(
        channels < 256 ? fused_block(local, x, {.channels = channels, .local = true}) : wide_block(local, x), x);
  }

  void head(const Scope& scope, NodeId x, const BuildOptions& options) const {
    const std::string_view pool = spec_.cpubone ? nn::pool_of(options.global_pool, {"avg", ""})
                                                : nn::pool_of(options.global_pool, {"avg", "max", "avgmax", ""});
    network_.features = x;
    network_.num_features = scope.channels(x);
    x = nn::select_pool(scope, conv(scope["in_conv"], x, {spec_.head[0]}), pool, 0);
    const Scope hidden = scope["pre_classifier"];
    x = hidden.linear(spec_.cpubone ? "linear" : "0", x, spec_.head[1], false);
    x = hidden.layer_norm(spec_.cpubone ? "norm" : "1", x, 1e-5);
    x = hidden.activate("act", x, Activation::hard_swish);
    if (spec_.cpubone) return nn::linear_classifier(network_, scope["classifier"], "linear", x, options.num_classes);
    nn::linear_classifier(network_, scope, "classifier", x, options.num_classes);
  }

  const Spec& spec_;
  Network& network_;
  Scope root_;
};

}  // namespace

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  Builder(spec, network).build(options);
  return network;
}

}  // namespace wimm::lowformer
