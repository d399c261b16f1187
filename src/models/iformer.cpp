// iFormer: convolutions and attention of one modulated head (timm/models/iformer.py). Paper: arXiv 2501.15369.
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 4>;

struct Spec {
  Sizes channels, depths;
  std::array<int64_t, 2> attentions;       // in the last two stages; each takes three blocks
  int64_t expansion, attention_expansion;  // of convolutional blocks, and behind attention
  bool distilled = false;
  bool large = false;  // layer scales, queries of all channels
};

NodeId conv(const Scope& scope, NodeId x, const nn::ConvOptions& options) {
  return scope.batch_norm("bn", scope.conv2d("c", x, options));
}

nn::ConvOptions depthwise(int64_t channels, int64_t kernel) {
  return {.out_channels = channels, .kernel = kernel, .groups = channels, .padding = nn::padding(kernel / 2)};
}

struct Builder {
  const Spec& spec;

  // x + what `module` makes of it, scaled in the large model.
  template <class Module>
  NodeId residual(const Scope& scope, NodeId x, Module&& module) const {
    const int64_t c = scope.channels(x);
    ParameterId gamma = no_id;
    if (spec.large) gamma = scope.parameter("gamma", {1, c, 1, 1}, Init::layer_scale);
    NodeId y = module(scope["module"], x);
    if (gamma != no_id) y = scope["gamma"].node(Affine{.weight = gamma}, {y}, c);
    return scope.add(y, x);
  }

  NodeId conv_block(const Scope& scope, NodeId x) const {
    return residual(scope["mixer"], x, [&](const Scope& module, NodeId y) {
      const int64_t c = scope.channels(y);
      y = conv(module["0"], y, depthwise(c, 7));
      y = module.activate("2", conv(module["1"], y, {.out_channels = spec.expansion * c}), Activation::gelu);
      return conv(module["3"], y, {.out_channels = c});
    });
  }

  NodeId feed_forward(const Scope& scope, NodeId x) const {
    return residual(scope["mixer"], x, [&](const Scope& module, NodeId y) {
      const int64_t c = scope.channels(y);
      y = module.activate("1", conv(module["0"], y, {.out_channels = spec.attention_expansion * c}), Activation::gelu);
      return conv(module["2"], y, {.out_channels = c});
    });
  }

  // Values and their modulation are sigmoids; queries and keys have `reduction` times fewer channels.
  NodeId attend(const Scope& scope, NodeId x, int64_t reduction) const {
    return residual(scope["mixer"], x, [&](const Scope& module, NodeId input) {
      const int64_t c = scope.channels(input), depth = c / reduction;
      const auto tokens = [&](NodeId image) { return module.node(ToTokens{}, {image}, scope.channels(image)); };
      const NodeId q = tokens(conv(module["q"], input, {.out_channels = depth}));
      const NodeId k = tokens(conv(module["k"], input, {.out_channels = depth}));
      const NodeId both =
          module.activate("gate_act", conv(module["v_gate"], input, {.out_channels = 2 * c}), Activation::sigmoid);
      const Attention attention{.heads = 1,
                                .kv_heads = 1,
                                .scale = 1 / std::sqrt(static_cast<double>(depth)),
                                .q = {0, depth, depth},
                                .k = {0, depth, depth},
                                .v = {0, c, c}};
      const NodeId mixed = module["attn"].node(attention, {q, k, tokens(both)}, c);
      const NodeId image = module.node(ToImage{}, {mixed, input}, c);
      return conv(module["proj"], module.mul(image, module.slice(both, c, c)), {.out_channels = c});
    });
  }

  NodeId positions(const Scope& scope, NodeId x) const {
    const Scope cpe = scope["cpe"];
    return cpe.add(conv(cpe["module"], x, depthwise(scope.channels(x), 3)), x);
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const int64_t attentions = index < 2 ? 0 : spec.attentions[index - 2], depth = spec.depths[index];
    const int64_t reduction = spec.large ? 1 : index == 2 ? 2 : 4;
    const int64_t convs = depth - 3 * attentions, before = attentions > 0 ? convs - 1 : convs;
    int64_t block = 0;
    while (block < before) x = conv_block(scope[block++], x);
    for (int64_t i = 0; i < attentions; ++i) {
      x = positions(scope[block++], x);
      x = attend(scope[block++], x, reduction);
      x = feed_forward(scope[block++], x);
    }
    while (block < depth) x = conv_block(scope[block++], x);
    return x;
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    const int64_t c = spec.channels[0];
    const auto strided = [&](std::string_view name, NodeId value, int64_t channels) {
      return conv(scope[name], value, {.out_channels = channels, .kernel = 5, .stride = 2, .padding = nn::padding(2)});
    };
    x = scope.activate("act1", strided("conv1", x, c / 2), Activation::gelu);
    x = scope.activate("act2", strided("conv2", x, c / 2 * 4), Activation::gelu);
    return conv(scope["conv3"], x, {.out_channels = c});
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  const std::string pool(nn::pool_of(options.global_pool, {"avg", ""}));
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    if (s > 0)
      x = conv(stage["downsample"], x,
               {.out_channels = spec.channels[s], .kernel = 3, .stride = 2, .padding = nn::padding(1)});
    x = builder.stage(stage["blocks"], x, s);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::distilled_norm_head(network, root["head"], x, pool, options.num_classes, spec.distilled);
  return network;
}

constexpr Spec m{{48, 96, 192, 384}, {2, 2, 22, 6}, {4, 2}, 4, 3}, l{{48, 96, 256, 384}, {2, 2, 33, 6}, {8, 2}, 4, 3},
    l2{{64, 128, 256, 512}, {3, 3, 46, 9}, {11, 3}, 4, 3};

constexpr Spec distilled(Spec spec) {
  spec.distilled = true;
  return spec;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"iformer_t", {{32, 64, 128, 256}, {2, 2, 16, 6}, {3, 2}, 3, 2}},
    {"iformer_s", {{32, 64, 176, 320}, {2, 2, 19, 6}, {3, 2}, 4, 3}},
    {"iformer_m", m},
    {"iformer_l", l},
    {"iformer_l2", l2},
    {"iformer_h", {{96, 192, 384, 768}, {5, 5, 60, 18}, {15, 6}, 4, 4, false, true}},
    {"iformer_m_distilled", distilled(m)},
    {"iformer_l_distilled", distilled(l)},
    {"iformer_l2_distilled", distilled(l2)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family iformer_family{"iformer", names_of(variants), build_variant};

}  // namespace wimm
