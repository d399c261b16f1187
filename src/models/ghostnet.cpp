// GhostNet, its second and third versions (timm/models/ghostnet.py). Papers: arXiv 1911.11907, 2211.12905, 2404.11202.
#include "models/ghostnet.h"

#include <string>
#include <string_view>
#include <vector>

#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"

namespace wimm {
namespace ghost {
namespace {

using nn::Scope;

// Convolutions that are added up to make one of v3.
constexpr int64_t branches = 3;

nn::ConvOptions depthwise(int64_t channels, nn::Extent kernel, int64_t stride = 1) {
  return {.out_channels = channels,
          .kernel = kernel,
          .stride = stride,
          .groups = channels,
          .padding = nn::same_size_padding(kernel, 1)};
}

// timm's Sequential of convolution, norm and, where it is asked for, ReLU.
NodeId conv_norm(const Scope& scope, NodeId x, const nn::ConvOptions& options, bool activate = false,
                 int64_t first = 0) {
  x = scope.batch_norm(std::to_string(first + 1), scope.conv2d(std::to_string(first), x, options));
  return activate ? scope.activate("act", x, Activation::relu) : x;
}

// timm's ConvBnAct.
NodeId conv_bn1(const Scope& scope, NodeId x, const nn::ConvOptions& options) {
  return scope.batch_norm("bn1", scope.conv2d("conv", x, options));
}

struct Builder {
  const Spec& spec;

  int64_t scaled(double channels) const { return nn::make_divisible(channels * spec.width, 4); }

  // The input halved, its neighbours along rows and columns: a gate for the module's channels.
  NodeId gate(const Scope& scope, NodeId input, NodeId x, int64_t channels) const {
    NodeId y = scope.avg_pool("pool", input, {.kernel = {2, 2}, .stride = {2, 2}});
    y = conv_norm(scope, y, {.out_channels = channels});
    y = conv_norm(scope, y, depthwise(channels, {1, 5}), false, 2);
    y = conv_norm(scope, y, depthwise(channels, {5, 1}), false, 4);
    y = scope.activate("gate", y, Activation::sigmoid);
    return scope.mul(x, scope["resize"].node(Interpolate{.mode = Interpolate::Mode::nearest}, {y, x}, channels));
  }

  // Half of the channels by a convolution, the other half from those by a cheap one.
  NodeId ghost_module(const Scope& scope, NodeId x, int64_t channels, bool activate, bool gated) const {
    const int64_t half = (channels + 1) / 2;
    const NodeId primary = conv_norm(scope["primary_conv"], x, {.out_channels = half}, activate);
    const NodeId cheap = conv_norm(scope["cheap_operation"], primary, depthwise(half, 3), activate);
    const NodeId y = scope.concat({primary, cheap});
    return gated ? gate(scope["short_conv"], x, y, channels) : y;
  }

  NodeId sum_of_branches(const Scope& scope, std::string_view name, NodeId x, const nn::ConvOptions& options) const {
    NodeId sum = no_id;
    for (int64_t i = 0; i < branches; ++i) {
      const NodeId y = conv_bn1(scope[name][i], x, options);
      sum = sum == no_id ? y : scope.add(sum, y);
    }
    return sum;
  }

  NodeId ghost_module_v3(const Scope& scope, NodeId x, int64_t channels, bool activate, bool gated) const {
    const int64_t half = (channels + 1) / 2;
    const auto activation = activate ? Activation::relu : Activation::identity;
    const NodeId primary = scope.activate(
        "primary_activation", sum_of_branches(scope, "primary_rpr_conv", x, {.out_channels = half}), activation);
    const NodeId skip = scope.batch_norm("cheap_rpr_skip", primary);
    NodeId cheap = sum_of_branches(scope, "cheap_rpr_conv", primary, depthwise(half, 3));
    cheap = scope.add(cheap, conv_bn1(scope["cheap_rpr_scale"], primary, depthwise(half, 1)));
    cheap = scope.activate("cheap_activation", scope.add(cheap, skip), activation);
    const NodeId y = scope.concat({primary, cheap});
    return gated ? gate(scope["short_conv"], x, y, channels) : y;
  }

  // All channels by a convolution, with what a cheap one makes of them added.
  NodeId rep_module(const Scope& scope, NodeId x, int64_t channels, bool activate) const {
    x = conv_norm(scope["primary_conv"], x, {.out_channels = channels}, activate);
    const NodeId skip = scope["fusion_bn"].batch_norm("0", x);
    x = scope.add(conv_norm(scope["cheap_operation"], x, depthwise(channels, 3)), skip);
    return activate ? scope.activate("relu", x, Activation::relu) : x;
  }

  NodeId module(const Scope& scope, NodeId x, int64_t channels, bool activate, bool gated) const {
    if (spec.kind == Kind::rep) return rep_module(scope, x, channels, activate);
    if (spec.kind == Kind::v3) return ghost_module_v3(scope, x, channels, activate, gated);
    return ghost_module(scope, x, channels, activate, gated && spec.kind == Kind::v2);
  }

  NodeId block(const Scope& scope, NodeId x, const BlockArgs& args, bool gated) const {
    const int64_t mid = scaled(static_cast<double>(args.expanded)), out = scaled(static_cast<double>(args.channels));
    NodeId y = module(scope["ghost1"], x, mid, true, gated);
    if (args.stride > 1 && spec.kind == Kind::v3) {
      const NodeId sum = sum_of_branches(scope, "dw_rpr_conv", y, depthwise(mid, args.kernel, args.stride));
      y = scope.add(sum, conv_bn1(scope["dw_rpr_scale"], y, depthwise(mid, 1, args.stride)));
    } else if (args.stride > 1) {
      y = scope.batch_norm("bn_dw", scope.conv2d("conv_dw", y, depthwise(mid, args.kernel, args.stride)));
    }
    if (args.se_ratio > 0)
      y = nn::squeeze_excite(scope["se"], y,
                             {.reduced_channels = nn::make_divisible(static_cast<double>(mid) * args.se_ratio, 4),
                              .gate = Activation::hard_sigmoid,
                              .reduce = "conv_reduce",
                              .expand = "conv_expand"});
    y = module(scope["ghost2"], y, out, false, false);
    if (args.stride == 1 && scope.channels(x) == out) return scope.add(y, x);
    const Scope shortcut = scope["shortcut"];
    x = conv_norm(shortcut, x, depthwise(scope.channels(x), args.kernel, args.stride));
    return scope.add(y, conv_norm(shortcut, x, {.out_channels = out}, false, 2));
  }
};

}  // namespace

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph), blocks = root["blocks"];
  network.input = root.input(options.in_chans);
  NodeId x = root.conv2d("conv_stem", network.input,
                         {.out_channels = builder.scaled(16), .kernel = 3, .stride = 2, .padding = nn::padding(1)});
  network.add_level(x, 2, "conv_stem");
  x = root.activate("act1", root.batch_norm("bn1", x), Activation::relu);
  int64_t stage = 0, index = 0, reduction = 2;
  for (size_t i = 0; i < spec.blocks.size(); ++i) {
    const BlockArgs& args = spec.blocks[i];
    x = builder.block(blocks[stage][index++], x, args, i > 1);
    reduction *= args.stride;
    if (!args.ends_stage) continue;
    if (args.stride > 1) network.add_level(x, reduction, blocks[stage].path());
    ++stage;
    index = 0;
  }
  const double last = static_cast<double>(spec.blocks.back().expanded) * spec.last_expansion;
  const Scope end = blocks[stage][int64_t{0}];
  x = end.activate("act", conv_bn1(end, x, {.out_channels = builder.scaled(last)}), Activation::relu);
  nn::hidden_classifier_head(network, root, "classifier", x, options.global_pool.value_or("avg"), options.num_classes,
                             {.bias = true});
  return network;
}

namespace {

constexpr BlockArgs blocks[] = {
    {3, 16, 16, 0, 1, true},       {3, 48, 24, 0, 2, true},       {3, 72, 24, 0, 1, true},
    {5, 72, 40, 0.25, 2, true},    {5, 120, 40, 0.25, 1, true},   {3, 240, 80, 0, 2, true},
    {3, 200, 80, 0, 1, false},     {3, 184, 80, 0, 1, false},     {3, 184, 80, 0, 1, false},
    {3, 480, 112, 0.25, 1, false}, {3, 672, 112, 0.25, 1, true},  {5, 672, 160, 0.25, 2, true},
    {5, 960, 160, 0, 1, false},    {5, 960, 160, 0.25, 1, false}, {5, 960, 160, 0, 1, false},
    {5, 960, 160, 0.25, 1, true},
};

struct Variant {
  std::string_view name;
  Kind kind;
  double width;
};

constexpr Variant variants[] = {
    {"ghostnet_050", Kind::v1, 0.5},   {"ghostnet_100", Kind::v1, 1},     {"ghostnet_130", Kind::v1, 1.3},
    {"ghostnetv2_100", Kind::v2, 1},   {"ghostnetv2_130", Kind::v2, 1.3}, {"ghostnetv2_160", Kind::v2, 1.6},
    {"ghostnetv3_050", Kind::v3, 0.5}, {"ghostnetv3_100", Kind::v3, 1},   {"ghostnetv3_130", Kind::v3, 1.3},
    {"ghostnetv3_160", Kind::v3, 1.6},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return build({variant.kind, variant.width, blocks, 1}, options);
}

}  // namespace
}  // namespace ghost

extern constinit const Family ghostnet_family{"ghostnet", names_of(ghost::variants), ghost::build_variant};

}  // namespace wimm
