// Dual path networks (timm/models/dpn.py). Paper: arXiv 1707.01629.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

constexpr double norm_eps = 1e-3;

struct Spec {
  bool small;  // a 3×3 stem, and residual paths a quarter as wide
  int64_t init_channels, reduced_channels, groups;
  std::array<int64_t, 4> depths, increments;
  bool split_last = false;                   // blocks end with a convolution for each path
  Activation activation = Activation::relu;  // of the stem and at the end: blocks have ReLU
};

// What the blocks of a stage have in common.
struct Widths {
  int64_t reduced, residual, increment;
};

struct Builder {
  const Spec& spec;

  NodeId norm_act(const Scope& scope, NodeId x, Activation activation) const {
    return scope.activate("act", scope.batch_norm("bn", x, norm_eps), activation);
  }

  NodeId norm_act_conv(const Scope& scope, NodeId x, const nn::ConvOptions& options) const {
    return scope.conv2d("conv", norm_act(scope, x, Activation::relu), options);
  }

  // The residual path's channels come first, then the dense path's, which grow by `increment` a block.
  NodeId block(const Scope& scope, NodeId x, const Widths& widths, int64_t stride, bool project) const {
    const auto [reduced, residual, increment] = widths;
    NodeId shortcut = x;
    if (project) {
      shortcut = norm_act_conv(scope[stride > 1 ? "c1x1_w_s2" : "c1x1_w_s1"], x,
                               {.out_channels = residual + 2 * increment, .stride = stride});
    }
    x = norm_act_conv(scope["c1x1_a"], x, {.out_channels = reduced});
    x = norm_act_conv(
        scope["c3x3_b"], x,
        {.out_channels = reduced, .kernel = 3, .stride = stride, .groups = spec.groups, .padding = nn::padding(1)});
    NodeId sum, grown;
    if (spec.split_last) {
      x = norm_act(scope["c1x1_c"], x, Activation::relu);
      sum = scope.conv2d("c1x1_c1", x, {.out_channels = residual});
      grown = scope.conv2d("c1x1_c2", x, {.out_channels = increment});
    } else {
      x = norm_act_conv(scope["c1x1_c"], x, {.out_channels = residual + increment});
      sum = scope.slice(x, 0, residual);
      grown = scope.slice(x, residual, increment);
    }
    const NodeId dense = scope.slice(shortcut, residual, scope.channels(shortcut) - residual);
    return scope.concat({scope.add(sum, scope.slice(shortcut, 0, residual)), dense, grown});
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph), features = root["features"];
  const Builder builder{spec};

  network.input = root.input(options.in_chans);
  const int64_t kernel = spec.small ? 3 : 7;
  NodeId x = nn::conv_norm_act(
      features, "conv1_1", network.input,
      {.out_channels = spec.init_channels, .kernel = kernel, .stride = 2, .padding = nn::same_size_padding(kernel)},
      {.activation = spec.activation, .eps = norm_eps});
  network.add_level(x, 2, features["conv1_1"].path());
  x = features.max_pool("conv1_pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
  for (size_t stage = 0; stage < 4; ++stage) {
    const Widths widths{.reduced = spec.reduced_channels << stage,
                        .residual = (spec.small ? 64 : 256) << stage,
                        .increment = spec.increments[stage]};
    Scope scope = features;
    for (int64_t i = 1; i <= spec.depths[stage]; ++i) {
      scope = features["conv" + std::to_string(stage + 2) + "_" + std::to_string(i)];
      x = builder.block(scope, x, widths, i == 1 && stage > 0 ? 2 : 1, i == 1);
    }
    network.add_level(x, 4 << stage, scope.path());
  }
  x = builder.norm_act(features["conv5_bn_ac"], x, spec.activation);

  nn::conv_classifier_head(network, root, "classifier", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"dpn48b", {true, 10, 128, 32, {3, 4, 6, 3}, {16, 32, 32, 64}, true, Activation::silu}},
    {"dpn68", {true, 10, 128, 32, {3, 4, 12, 3}, {16, 32, 32, 64}}},
    {"dpn68b", {true, 10, 128, 32, {3, 4, 12, 3}, {16, 32, 32, 64}, true}},
    {"dpn92", {false, 64, 96, 32, {3, 4, 20, 3}, {16, 32, 24, 128}}},
    {"dpn98", {false, 96, 160, 40, {3, 6, 20, 3}, {16, 32, 32, 128}}},
    {"dpn107", {false, 128, 200, 50, {4, 8, 20, 3}, {20, 64, 64, 128}}},
    {"dpn131", {false, 128, 160, 40, {4, 8, 28, 3}, {16, 32, 32, 128}}},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family dpn_family{"dpn", names_of(variants), build_variant};

}  // namespace wimm
