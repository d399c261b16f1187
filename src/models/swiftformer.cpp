// SwiftFormer: convolutions, and additive attention at the end of each stage (timm/models/swiftformer.py).
// Paper: arXiv 2303.15446.
#include <array>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 4> depths, channels;
};

// clang-format off
constexpr Variant variants[] = {
    {"swiftformer_xs", {3, 3, 6, 4}, {48, 56, 112, 220}},
    {"swiftformer_s", {3, 3, 9, 6}, {48, 64, 168, 224}},
    {"swiftformer_l1", {4, 3, 10, 5}, {48, 96, 192, 384}},
    {"swiftformer_l3", {4, 4, 12, 6}, {64, 128, 320, 512}},
};
// clang-format on

NodeId scaled(const Scope& scope, std::string_view name, NodeId x) {
  const int64_t channels = scope.channels(x);
  const ParameterId gamma = scope[name].parameter("gamma", {channels, 1, 1}, Init::layer_scale);
  return scope[name].node(Affine{.weight = gamma}, {x}, channels);
}

// An MLP of what a depthwise convolution gives, added to x.
NodeId conv_block(const Scope& scope, NodeId x, int64_t ratio) {
  const int64_t channels = scope.channels(x);
  NodeId y = scope.conv2d(
      "dwconv", x,
      {.out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1), .bias = true});
  y = scope.conv2d("pwconv1", scope.batch_norm("norm", y), {.out_channels = ratio * channels, .bias = true});
  y = scope.conv2d("pwconv2", scope.activate("act", y, Activation::gelu), {.out_channels = channels, .bias = true});
  return scope.add(x, scaled(scope, "layer_scale", y));
}

// Keys times the one weighted sum of all queries.
NodeId additive_attention(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  const ParameterId weight = scope.parameter("w_g", {channels, 1}, Init::token);
  const auto unit = [&](std::string_view name) {
    return scope[name].node(UnitNorm{}, {scope.linear(name, x, channels)}, channels);
  };
  const NodeId query = unit("to_query"), key = unit("to_key");
  const NodeId global = scope.node(AdditivePool{weight}, {query}, channels);
  const NodeId mixed = scope.linear("proj", scope.mul(key, global), channels);
  return scope.linear("final", scope.add(mixed, query), channels);
}

NodeId attention_block(const Scope& scope, NodeId x) {
  x = conv_block(scope["local_representation"], x, 1);
  const int64_t channels = scope.channels(x);
  const NodeId attended = additive_attention(scope["attn"], x);
  const Scope linear = scope["linear"];
  const Affine norm = linear.declare_batch_norm("norm1", channels);
  const Conv2d fc1 = linear.declare_conv2d("fc1", channels, {.out_channels = 4 * channels, .bias = true}),
               fc2 = linear.declare_conv2d("fc2", 4 * channels, {.out_channels = channels, .bias = true});
  x = scope.add(x, scaled(scope, "layer_scale_1", attended));
  NodeId y = linear["fc1"].node(fc1, {linear["norm1"].node(norm, {x}, channels)}, 4 * channels);
  y = linear["fc2"].node(fc2, {linear.activate("act", y, Activation::gelu)}, channels);
  return scope.add(x, scaled(scope, "layer_scale_2", y));
}

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  for (const int64_t i : {0, 3}) {
    x = scope.conv2d(std::to_string(i), x,
                     {.out_channels = i == 0 ? channels / 2 : channels,
                      .kernel = 3,
                      .stride = 2,
                      .padding = nn::padding(1),
                      .bias = true});
    x = scope.activate("act", scope.batch_norm(std::to_string(i + 1), x), Activation::relu);
  }
  return x;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const auto& [_, depths, channels] = find(variants, name);
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = stem(root["stem"], network.input, channels[0]);
  for (size_t stage = 0; stage < 4; ++stage) {
    const Scope scope = root["stages"][static_cast<int64_t>(stage)], down = scope["downsample"];
    if (stage > 0) {
      x = down.conv2d(
          "proj", x,
          {.out_channels = channels[stage], .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
      x = down.batch_norm("norm", x);
    }
    for (int64_t i = 0; i < depths[stage]; ++i) {
      const Scope block = scope["blocks"][i];
      x = i == depths[stage] - 1 ? attention_block(block, x) : conv_block(block, x, 4);
    }
    network.add_level(x, 4 << stage, scope.path());
  }
  nn::distilled_head(network, root, root.batch_norm("norm", x), nn::pool_of(options.global_pool, {"avg", ""}),
                     options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family swiftformer_family{"swiftformer", names_of(variants), build_variant};

}  // namespace wimm
