// EfficientViT by Microsoft: heads of attention in a cascade (timm/models/efficientvit_msra.py).
// Paper: arXiv 2305.07027.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 3> channels, depths, heads;
  std::array<int64_t, 4> kernels;  // of each head's convolution of queries
};

// clang-format off
constexpr Variant variants[] = {
    {"efficientvit_m0", {64, 128, 192}, {1, 2, 3}, {4, 4, 4}, {5, 5, 5, 5}},
    {"efficientvit_m1", {128, 144, 192}, {1, 2, 3}, {2, 3, 3}, {7, 5, 3, 3}},
    {"efficientvit_m2", {128, 192, 224}, {1, 2, 3}, {4, 3, 2}, {7, 5, 3, 3}},
    {"efficientvit_m3", {128, 240, 320}, {1, 2, 3}, {4, 3, 4}, {5, 5, 5, 5}},
    {"efficientvit_m4", {128, 256, 384}, {1, 2, 3}, {4, 4, 4}, {7, 5, 3, 3}},
    {"efficientvit_m5", {192, 288, 384}, {1, 3, 4}, {3, 3, 4}, {7, 5, 3, 3}},
};
// clang-format on

constexpr int64_t key_channels = 16, window = 7;
constexpr nn::NormAct linear{.activation = Activation::identity}, relu{};

nn::ConvOptions depthwise(int64_t channels, int64_t kernel, int64_t stride = 1) {
  return {.out_channels = channels,
          .kernel = kernel,
          .stride = stride,
          .groups = channels,
          .padding = nn::padding(kernel / 2)};
}

NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const nn::NormAct& act) {
  return nn::conv_norm_act(scope, name, x, {.out_channels = channels}, act);
}

// A depthwise convolution, then an MLP, each added to its input.
NodeId local_mlp(const Scope& scope, const Scope& mlp_scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  x = scope.add(x, nn::conv_norm_act(scope, "m", x, depthwise(channels, 3), linear));
  const Scope mlp = mlp_scope["m"];
  return scope.add(x, conv(mlp, "pw2", conv(mlp, "pw1", x, 2 * channels, relu), channels, linear));
}

NodeId merge_patches(const Scope& scope, NodeId x, int64_t channels) {
  const int64_t hidden = 4 * scope.channels(x);
  x = conv(scope, "conv1", x, hidden, relu);
  x = nn::conv_norm_act(scope, "conv2", x, depthwise(hidden, 3, 2), relu);
  const int64_t reduced = nn::make_divisible(static_cast<double>(hidden) / 4, 8, 0, 0);
  x = nn::squeeze_excite(scope["se"], x, {.reduced_channels = reduced});
  return conv(scope, "conv3", x, channels, linear);
}

// A convolution and its norm, declared before they are used.
struct ConvNorm {
  Scope scope;
  Conv2d conv;
  Affine norm;

  ConvNorm(const Scope& place, int64_t in, const nn::ConvOptions& options)
      : scope(place),
        conv(place.declare_conv2d("conv", in, options)),
        norm(place.declare_batch_norm("bn", options.out_channels)) {}
  NodeId operator()(NodeId x) const {
    const int64_t channels = conv.out_channels;
    return scope["bn"].node(norm, {scope["conv"].node(conv, {x}, channels)}, channels);
  }
};

// Each head takes its part of the channels and what the head before it gave.
NodeId cascaded_attention(const Scope& scope, NodeId x, int64_t heads, Size2d grid, const Variant& spec) {
  const int64_t channels = scope.channels(x), width = channels / heads;
  const ParameterId biases = scope.parameter("attention_biases", {heads, grid[0] * grid[1]}, Init::zeros);
  std::vector<ConvNorm> qkvs, convs;
  for (int64_t i = 0; i < heads; ++i)
    qkvs.emplace_back(scope["qkvs"][i], width, nn::ConvOptions{.out_channels = 2 * key_channels + width});
  for (int64_t i = 0; i < heads; ++i)
    convs.emplace_back(scope["dws"][i], key_channels, depthwise(key_channels, spec.kernels[static_cast<size_t>(i)]));
  std::vector<NodeId> results;
  for (int64_t i = 0; i < heads; ++i) {
    NodeId part = scope.slice(x, i * width, width);
    if (i > 0) part = scope.add(results.back(), part);
    const NodeId qkv = qkvs[static_cast<size_t>(i)](part);
    const NodeId q = convs[static_cast<size_t>(i)](scope.slice(qkv, 0, key_channels));
    const Attention op{.heads = 1,
                       .kv_heads = 1,
                       .scale = 1 / std::sqrt(static_cast<double>(key_channels)),
                       .q = {0, key_channels, key_channels},
                       .k = {key_channels, key_channels, key_channels},
                       .v = {2 * key_channels, width, width},
                       .windows = Windows{},
                       .bias = RelativeBias{.grid = grid, .table = biases, .symmetric = true, .first_head = i}};
    results.push_back(scope.node(op, {q, qkv, qkv}, width));
  }
  x = scope.activate("act", scope.concat(std::move(results)), Activation::relu);
  return conv(scope["proj"], "1", x, channels, linear);
}

// In windows, which convolutions do not leave either.
NodeId windowed_attention(const Scope& scope, NodeId x, int64_t heads, Size2d grid, const Variant& spec) {
  const int64_t side = std::min({window, grid[0], grid[1]}), channels = scope.channels(x);
  const Size2d size{side, side};
  if (grid == size) return cascaded_attention(scope["attn"], x, heads, size, spec);
  const NodeId padded = scope.node(Pad{.multiple_of = size}, {x}, channels);
  const NodeId windows = scope.node(ToWindows{size}, {padded}, channels);
  const NodeId mixed = cascaded_attention(scope["attn"], windows, heads, size, spec);
  return scope.node(Crop{}, {scope.node(FromWindows{size}, {mixed, padded}, channels), x}, channels);
}

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  for (int64_t i = 1; i <= 4; ++i)
    x = nn::conv_norm_act(scope, "conv" + std::to_string(i), x,
                          {.out_channels = channels >> (4 - i), .kernel = 3, .stride = 2, .padding = nn::padding(1)},
                          i < 4 ? relu : linear);
  return x;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  Size2d grid{size[0] / 16, size[1] / 16};
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = stem(root["patch_embed"], network.input, spec.channels[0]);
  for (size_t stage = 0; stage < 3; ++stage) {
    const Scope scope = root["stages"][static_cast<int64_t>(stage)], down = scope["downsample"];
    if (stage > 0) {
      x = local_mlp(down["res1"]["0"], down["res1"]["1"], x);
      x = merge_patches(down["patchmerge"], x, spec.channels[stage]);
      x = local_mlp(down["res2"]["0"], down["res2"]["1"], x);
      grid = {(grid[0] + 1) / 2, (grid[1] + 1) / 2};
    }
    for (int64_t i = 0; i < spec.depths[stage]; ++i) {
      const Scope block = scope["blocks"][i];
      x = local_mlp(block["dw0"], block["ffn0"], x);
      x = block.add(x, windowed_attention(block["mixer"]["m"], x, spec.heads[stage], grid, spec));
      x = local_mlp(block["dw1"], block["ffn1"], x);
    }
    network.add_level(x, 16 << stage, scope.path());
  }
  network.features = x;
  network.num_features = root.channels(x);
  x = nn::select_pool(root, x, options.global_pool.value_or("avg"), options.num_classes);
  const NodeId normed = options.num_classes > 0 ? root["head"].batch_norm("bn", x) : x;
  nn::linear_classifier(network, root["head"], "linear", normed, options.num_classes);
  network.pre_logits = x;
  return network;
}

}  // namespace

extern constinit const Family efficientvit_msra_family{"efficientvit_msra", names_of(variants), build_variant};

}  // namespace wimm
