// TinyViT: convolutions, then attention in windows biased by distance (timm/models/tiny_vit.py).
// Paper: arXiv 2207.10666.
#include <array>

#include "models/families.h"
#include "models/variants.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 4> channels;
  int64_t window;  // of all stages but the third, whose is twice as large
};

// clang-format off
constexpr Variant variants[] = {
    {"tiny_vit_5m_224", {64, 128, 160, 320}, 7},
    {"tiny_vit_11m_224", {64, 128, 256, 448}, 7},
    {"tiny_vit_21m_224", {96, 192, 384, 576}, 7},
    {"tiny_vit_21m_384", {96, 192, 384, 576}, 12},
    {"tiny_vit_21m_512", {96, 192, 384, 576}, 16},
};
// clang-format on

constexpr int64_t depths[] = {2, 2, 6, 2}, head_channels = 32;
constexpr nn::NormAct linear{.activation = Activation::identity}, gelu{.activation = Activation::gelu};

NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const nn::NormAct& act = gelu) {
  return nn::conv_norm_act(scope, name, x, {.out_channels = channels}, act);
}

NodeId depthwise(const Scope& scope, std::string_view name, NodeId x, int64_t stride, const nn::NormAct& act = gelu) {
  const int64_t channels = scope.channels(x);
  return nn::conv_norm_act(
      scope, name, x,
      {.out_channels = channels, .kernel = 3, .stride = stride, .groups = channels, .padding = nn::padding(1)}, act);
}

NodeId conv_block(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  NodeId y = depthwise(scope, "conv2", conv(scope, "conv1", x, 4 * channels), 1);
  y = scope.add(conv(scope, "conv3", y, channels, linear), x);
  return scope.activate("act3", y, Activation::gelu);
}

NodeId merge_patches(const Scope& scope, NodeId x, int64_t channels) {
  x = depthwise(scope, "conv2", conv(scope, "conv1", x, channels), 2);
  return conv(scope, "conv3", x, channels, linear);
}

NodeId attention(const Scope& scope, NodeId x, int64_t window) {
  const int64_t channels = scope.channels(x), heads = channels / head_channels, stride = 3 * head_channels;
  const Size2d size{window, window};
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{.size = size};
  op.bias = RelativeBias{.grid = size, .symmetric = true};
  op.bias->table = scope.parameter("attention_biases", {heads, window * window}, Init::token);
  op.q = {0, stride, head_channels};
  op.k = {head_channels, stride, head_channels};
  op.v = {2 * head_channels, stride, head_channels};
  const NodeId padded = scope.node(Pad{.multiple_of = size}, {x}, channels);
  const NodeId qkv = scope.linear("qkv", scope.layer_norm("norm", padded, 1e-5), 3 * channels);
  const NodeId mixed = scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
  return scope.node(Crop{}, {mixed, x}, channels);
}

// timm declares the MLP before the convolution that precedes it.
NodeId block(const Scope& scope, NodeId x, int64_t window) {
  const int64_t channels = scope.channels(x);
  x = scope.add(x, attention(scope["attn"], x, window));
  const Scope mlp = scope["mlp"];
  const LayerNorm norm = mlp.declare_layer_norm("norm", channels, 1e-5);
  const Linear fc1 = mlp.declare_linear("fc1", channels, 4 * channels),
               fc2 = mlp.declare_linear("fc2", 4 * channels, channels);
  x = depthwise(scope, "local_conv", x, 1, linear);
  NodeId y = mlp["fc1"].node(fc1, {mlp["norm"].node(norm, {x}, channels)}, 4 * channels);
  y = mlp["fc2"].node(fc2, {mlp.activate("act", y, Activation::gelu)}, channels);
  return scope.add(x, y);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const auto& [_, channels, window] = find(variants, name);
  Network network;
  const Scope root(network.graph), embed = root["patch_embed"];
  network.input = root.input(options.in_chans);
  const auto stem = [&](std::string_view conv_name, NodeId value, int64_t out, const nn::NormAct& act) {
    return nn::conv_norm_act(embed, conv_name, value,
                             {.out_channels = out, .kernel = 3, .stride = 2, .padding = nn::padding(1)}, act);
  };
  NodeId x = stem("conv2", stem("conv1", network.input, channels[0] / 2, gelu), channels[0], linear);
  for (int64_t stage = 0; stage < 4; ++stage) {
    const Scope scope = root["stages"][stage];
    if (stage > 0) x = merge_patches(scope["downsample"], x, channels[stage]);
    for (int64_t i = 0; i < depths[stage]; ++i) {
      const Scope place = scope["blocks"][i];
      x = stage == 0 ? conv_block(place, x) : block(place, x, stage == 2 ? 2 * window : window);
    }
    network.add_level(x, 4 << stage, scope.path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes,
                               {.norm = nn::TokenNorm{.eps = 1e-5}});
  return network;
}

}  // namespace

extern constinit const Family tiny_vit_family{"tiny_vit", names_of(variants), build_variant};

}  // namespace wimm
