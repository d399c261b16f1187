// SHViT: attention of one head on part of the channels (timm/models/shvit.py). Paper: arXiv 2401.16456.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 3>;

struct Spec {
  Sizes channels, depths;
  Sizes attended;  // channels that attend, from the second stage on
};

NodeId conv(const Scope& scope, NodeId x, const nn::ConvOptions& options) {
  return scope.batch_norm("bn", scope.conv2d("c", x, options));
}

NodeId depthwise(const Scope& scope, NodeId x) {
  const int64_t c = scope.channels(x);
  return scope.add(conv(scope["m"], x, {.out_channels = c, .kernel = 3, .groups = c, .padding = nn::padding(1)}), x);
}

NodeId feed_forward(const Scope& scope, NodeId x) {
  const Scope m = scope["m"];
  const NodeId y = m.activate("act", conv(m["pw1"], x, {.out_channels = 2 * scope.channels(x)}), Activation::relu);
  return scope.add(conv(m["pw2"], y, {.out_channels = scope.channels(x)}), x);
}

NodeId attend_part(const Scope& scope, NodeId x, int64_t attended) {
  constexpr int64_t depth = 16;
  const Scope m = scope["m"];
  const int64_t channels = scope.channels(x);
  const NodeId part = m.group_norm("pre_norm", m.slice(x, 0, attended), 1);
  const NodeId qkv = conv(m["qkv"], part, {.out_channels = 2 * depth + attended});
  const NodeId tokens = m["tokens"].node(ToTokens{}, {qkv}, 2 * depth + attended);
  const Attention attention{.heads = 1,
                            .kv_heads = 1,
                            .scale = 0.25,  // 1 / √depth
                            .q = {0, depth, depth},
                            .k = {depth, depth, depth},
                            .v = {2 * depth, attended, attended}};
  const NodeId mixed = m["attn"].node(attention, {tokens, tokens, tokens}, attended);
  const NodeId image = m["image"].node(ToImage{}, {mixed, x}, attended);
  NodeId y = m.concat({image, m.slice(x, attended, channels - attended)});
  y = conv(m["proj"]["1"], m.activate("act", y, Activation::relu), {.out_channels = channels});
  return scope.add(y, x);
}

NodeId merge_patches(const Scope& scope, NodeId x, int64_t channels) {
  const int64_t hidden = 4 * scope.channels(x);
  x = scope.activate("act1", conv(scope["conv1"], x, {.out_channels = hidden}), Activation::relu);
  x = conv(scope["conv2"], x,
           {.out_channels = hidden, .kernel = 3, .stride = 2, .groups = hidden, .padding = nn::padding(1)});
  x = nn::squeeze_excite(scope["se"], scope.activate("act2", x, Activation::relu),
                         {.reduced_channels = nn::make_divisible(static_cast<double>(hidden) / 4, 8, 0, 0)});
  return conv(scope["conv3"], x, {.out_channels = channels});
}

NodeId downsample(const Scope& scope, NodeId x, int64_t channels) {
  x = feed_forward(scope["1"], depthwise(scope["0"], x));
  x = merge_patches(scope["2"], x, channels);
  return feed_forward(scope["4"], depthwise(scope["3"], x));
}

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  for (int64_t i = 0; i < 4; ++i) {
    x = conv(scope[2 * i], x,
             {.out_channels = channels >> (3 - i), .kernel = 3, .stride = 2, .padding = nn::padding(1)});
    if (i < 3) x = scope.activate("act", x, Activation::relu);
  }
  return x;
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = stem(root["patch_embed"], network.input, spec.channels[0]);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    if (s > 0) x = downsample(stage["downsample"], x, spec.channels[s]);
    for (int64_t i = 0; i < spec.depths[s]; ++i) {
      const Scope block = stage["blocks"][i];
      x = depthwise(block["conv"], x);
      if (s > 0) x = attend_part(block["mixer"], x, spec.attended[s]);
      x = feed_forward(block["ffn"], x);
    }
    network.add_level(x, 16 << s, stage.path());
  }
  nn::distilled_norm_head(network, root, x, options.global_pool.value_or("avg"), options.num_classes, false);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"shvit_s1", {{128, 224, 320}, {2, 4, 5}, {32, 48, 68}}},
    {"shvit_s2", {{128, 308, 448}, {2, 4, 5}, {32, 66, 96}}},
    {"shvit_s3", {{192, 352, 448}, {3, 5, 5}, {48, 75, 96}}},
    {"shvit_s4", {{224, 336, 448}, {4, 7, 6}, {48, 72, 96}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family shvit_family{"shvit", names_of(variants), build_variant};

}  // namespace wimm
