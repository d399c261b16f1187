// Pyramid vision transformers, version 2 (timm/models/pvt_v2.py). Paper: arXiv 2106.13797.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 4> depths;
  int64_t width = 64;  // of the first stage
  std::array<int64_t, 4> mlp_ratios{8, 8, 4, 4};
  bool linear = false;  // keys and values from 7×7 means, else from convolved patches
};

constexpr std::array<int64_t, 4> heads{1, 2, 5, 8}, reductions{8, 4, 2, 1};

struct Builder {
  const Variant& variant;
  Scope root;

  NodeId patch_embed(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t kernel = stage == 0 ? 7 : 3, channels = variant.width * heads[stage];
    x = scope.conv2d("proj", x,
                     {.out_channels = channels,
                      .kernel = kernel,
                      .stride = stage == 0 ? 4 : 2,
                      .padding = nn::padding(kernel / 2),
                      .bias = true});
    return scope.layer_norm("norm", x, 1e-5);
  }

  // The image that gives keys and values.
  NodeId reduce(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t channels = scope.channels(x), side = reductions[stage];
    if (variant.linear) {
      x = scope["pool"].node(AdaptiveAvgPool{.size = {7, 7}}, {x}, channels);
      x = scope.layer_norm("norm", scope.conv2d("sr", x, {.out_channels = channels, .bias = true}), 1e-5);
      return scope.activate("act", x, Activation::gelu);
    }
    if (side == 1) return x;
    x = scope.conv2d("sr", x, {.out_channels = channels, .kernel = side, .stride = side, .bias = true});
    return scope.layer_norm("norm", x, 1e-5);
  }

  NodeId attention(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t channels = scope.channels(x);
    const NodeId q = nn::to_tokens(scope, scope.linear("q", x, channels));
    const Linear kv_layer = scope.declare_linear("kv", channels, 2 * channels),
                 proj = scope.declare_linear("proj", channels, channels);
    const NodeId kv = nn::to_tokens(scope, scope["kv"].node(kv_layer, {reduce(scope, x, stage)}, 2 * channels));
    const NodeId mixed = nn::attend_to(scope, q, kv, heads[stage]);
    return nn::to_image(scope, scope["proj"].node(proj, {mixed}, channels), x);
  }

  NodeId mlp(const Scope& scope, NodeId x, int64_t hidden) const {
    const int64_t channels = scope.channels(x);
    x = scope.linear("fc1", x, hidden);
    if (variant.linear) x = scope.activate("relu", x, Activation::relu);
    x = scope.conv2d("dwconv", x,
                     {.out_channels = hidden, .kernel = 3, .groups = hidden, .padding = nn::padding(1), .bias = true});
    return scope.linear("fc2", scope.activate("act", x, Activation::gelu), channels);
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    if (index > 0) x = patch_embed(scope["downsample"], x, index);
    for (int64_t i = 0; i < variant.depths[index]; ++i) {
      const Scope block = scope["blocks"][i];
      x = block.add(x, attention(block["attn"], block.layer_norm("norm1", x), index));
      const int64_t hidden = variant.mlp_ratios[index] * scope.channels(x);
      x = block.add(x, mlp(block["mlp"], block.layer_norm("norm2", x), hidden));
    }
    return scope.layer_norm("norm", x);
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  network.input = root.input(options.in_chans);
  NodeId x = builder.patch_embed(root["patch_embed"], network.input, 0);
  for (size_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, x, i);
    network.add_level(x, 4 << i, scope.path());
  }
  const std::string_view pool = nn::pool_of(options.global_pool, {"avg", ""});
  nn::linear_classifier_head(network, root, "head", x, pool, options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"pvt_v2_b0", {2, 2, 2, 2}, 32},
    {"pvt_v2_b1", {2, 2, 2, 2}},
    {"pvt_v2_b2", {3, 4, 6, 3}},
    {"pvt_v2_b3", {3, 4, 18, 3}},
    {"pvt_v2_b4", {3, 8, 27, 3}},
    {"pvt_v2_b5", {3, 6, 40, 3}, 64, {4, 4, 4, 4}},
    {"pvt_v2_b2_li", {3, 4, 6, 3}, 64, {8, 8, 4, 4}, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family pvt_v2_family{"pvt_v2", names_of(variants), build_variant};

}  // namespace wimm
