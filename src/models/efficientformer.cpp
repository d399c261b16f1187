// EfficientFormer: pooling mixes pixels, then attention tokens (timm/models/efficientformer.py). Paper: arXiv
// 2206.01191.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;
using PerStage = std::array<int64_t, 4>;

struct Variant {
  std::string_view name;
  PerStage channels, depths;
  int64_t attentions;  // blocks at the end whose tokens attend to each other
};

constexpr int64_t img_size = 224, last_grid = 7, heads = 8, key_channels = 32, value_channels = 128;  // of a head

NodeId conv_norm(const Scope& scope, std::string_view conv, std::string_view norm, NodeId x, int64_t channels) {
  x = scope.conv2d(conv, x,
                   {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
  return scope.batch_norm(norm, x);
}

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  x = scope.activate("act1", conv_norm(scope, "conv1", "norm1", x, channels / 2), Activation::relu);
  return scope.activate("act2", conv_norm(scope, "conv2", "norm2", x, channels), Activation::relu);
}

NodeId pooling_block(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  const NodeId pooled = scope.avg_pool(
      "pool", x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1), .count_include_pad = false});
  const NodeId mixed = scope["token_mixer"].node(Binary{Binary::Kind::sub}, {pooled, x}, channels);
  x = scope.add(x, nn::layer_scale(scope, "ls1", mixed));
  const Scope mlp = scope["mlp"];
  NodeId y = mlp.batch_norm("norm1", mlp.conv2d("fc1", x, {.out_channels = 4 * channels, .bias = true}));
  y = mlp.conv2d("fc2", mlp.activate("act", y, Activation::gelu), {.out_channels = channels, .bias = true});
  return scope.add(x, nn::layer_scale(scope, "ls2", mlp.batch_norm("norm2", y)));
}

// Biased by the distance between query and key, rows and columns apart.
NodeId attention(const Scope& scope, NodeId x) {
  constexpr int64_t stride = 2 * key_channels + value_channels;
  const RelativeBias bias{.grid = {last_grid, last_grid},
                          .table = scope.parameter("attention_biases", {heads, last_grid * last_grid}, Init::zeros),
                          .symmetric = true};
  Attention op = nn::attention_of(3 * heads * key_channels, heads);  // of which scale and heads remain
  op.q = {0, stride, key_channels};
  op.k = {key_channels, stride, key_channels};
  op.v = {2 * key_channels, stride, value_channels};
  op.bias = bias;
  const NodeId qkv = scope.linear("qkv", x, heads * stride);
  return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, heads * value_channels), scope.channels(x));
}

NodeId attention_block(const Scope& scope, NodeId x) {
  const NodeId mixed = attention(scope["token_mixer"], scope.layer_norm("norm1", x, 1e-5));
  x = scope.add(x, nn::layer_scale(scope, "ls1", mixed));
  const NodeId y = nn::mlp(scope["mlp"], scope.layer_norm("norm2", x, 1e-5), {.hidden = 4 * scope.channels(x)});
  return scope.add(x, nn::layer_scale(scope, "ls2", y));
}

// timm counts the step from pixels to tokens as a block.
NodeId last_blocks(Network& network, const Scope& scope, NodeId x, const Variant& variant) {
  const int64_t poolings = variant.depths[3] - variant.attentions;
  for (int64_t i = 0; i < poolings; ++i) x = pooling_block(scope["blocks"][i], x);
  const NodeId image = x;
  x = nn::to_tokens(scope, x);
  for (int64_t i = 0; i < variant.attentions; ++i) x = attention_block(scope["blocks"][poolings + 1 + i], x);
  network.add_level(nn::to_image(scope, x, image), 32, scope.path());
  return x;
}

Network build(const Variant& variant, const BuildOptions& options) {
  if (options.img_size.value_or(Size2d{img_size, img_size}) != Size2d{img_size, img_size})
    throw Error(ErrorCode::invalid_argument, "img_size must be 224 × 224, for which the biases of its attention are");
  Network network;
  const Scope root(network.graph);
  network.input = root.input({.channels = options.in_chans, .size = Size2d{img_size, img_size}});
  NodeId x = stem(root["stem"], network.input, variant.channels[0]);
  for (int64_t i = 0; i < 4; ++i) {
    const Scope stage = root["stages"][i];
    if (i > 0) x = conv_norm(stage["downsample"], "conv", "norm", x, variant.channels[i]);
    if (i == 3) {
      x = last_blocks(network, stage, x, variant);
      continue;
    }
    for (int64_t k = 0; k < variant.depths[i]; ++k) x = pooling_block(stage["blocks"][k], x);
    network.add_level(x, 4 << i, stage.path());
  }
  x = root.layer_norm("norm", x, 1e-5);
  network.features = x;
  network.token_features = true;
  network.num_features = variant.channels[3];
  if (nn::pool_of(options.global_pool, {"avg", ""}) == "avg") x = root.global_pool("global_pool", x, PoolKind::avg);
  nn::distilled_classifier(network, root, x, x, options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"efficientformer_l1", {48, 96, 224, 448}, {3, 2, 6, 4}, 1},
    {"efficientformer_l3", {64, 128, 320, 512}, {4, 4, 12, 6}, 4},
    {"efficientformer_l7", {96, 192, 384, 768}, {6, 6, 18, 8}, 8},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family efficientformer_family{"efficientformer", names_of(variants), build_variant};

}  // namespace wimm
