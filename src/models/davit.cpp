// DaViT: attention in windows and attention between channels, in turn (timm/models/davit.py).
// Paper: arXiv 2204.03645.
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
  std::array<int64_t, 4> depths;
  int64_t channels, heads;  // of the first stage, doubled in each that follows
  bool florence = false;    // as Florence-2 has it
};

// clang-format off
constexpr Variant variants[] = {
    {"davit_tiny", {1, 1, 3, 1}, 96, 3},
    {"davit_small", {1, 1, 9, 1}, 96, 3},
    {"davit_base", {1, 1, 9, 1}, 128, 4},
    {"davit_large", {1, 1, 9, 1}, 192, 6},
    {"davit_base_fl", {1, 1, 9, 1}, 128, 4, true},
};
// clang-format on

NodeId norm(const Scope& scope, std::string_view name, NodeId x) { return scope.layer_norm(name, x, 1e-5); }

NodeId pad(const Scope& scope, NodeId x, int64_t multiple) {
  return scope.node(Pad{.multiple_of = {multiple, multiple}}, {x}, scope.channels(x));
}

NodeId position_encoding(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  return scope.add(
      x, scope.conv2d(
             "proj", x,
             {.out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1), .bias = true}));
}

NodeId window_attention(const Scope& scope, NodeId x, int64_t heads, int64_t window) {
  const int64_t channels = scope.channels(x);
  const NodeId qkv = scope.linear("qkv", pad(scope, x, window), 3 * channels);
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{.size = {window, window}};
  const NodeId mixed = scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
  return scope.node(Crop{}, {mixed, x}, channels);
}

NodeId channel_attention(const Scope& scope, NodeId x, int64_t heads, bool florence) {
  const int64_t channels = scope.channels(x);
  const NodeId qkv = scope.linear("qkv", x, 3 * channels);
  ChannelAttention op{.heads = heads, .order = {0, 1, 2}};
  if (!florence) op = {.heads = heads, .order = {1, 2, 0}, .scale = nn::attention_of(3 * channels, heads).scale};
  return scope.linear("proj", scope.node(op, {qkv}, channels), channels);
}

template <class Mix>
NodeId block(const Scope& scope, NodeId x, Mix&& mix) {
  x = position_encoding(scope["cpe1"], x);
  x = scope.add(x, mix(scope["attn"], norm(scope, "norm1", x)));
  x = position_encoding(scope["cpe2"], x);
  return scope.add(x, nn::mlp(scope["mlp"], norm(scope, "norm2", x), {.hidden = 4 * scope.channels(x)}));
}

NodeId downsample(const Scope& scope, NodeId x, bool florence) {
  x = norm(scope, "norm", x);
  nn::ConvOptions options{.out_channels = 2 * scope.channels(x), .kernel = 2, .stride = 2, .bias = true};
  if (florence) {
    options.kernel = 3;
    options.padding = nn::padding(1);
    return scope.conv2d("conv", x, options);
  }
  return scope.conv2d("conv", pad(scope, x, 2), options);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const auto& [_, depths, channels, heads, florence] = find(variants, name);
  Network network;
  const Scope root(network.graph), stem = root["stem"];
  network.input = root.input(options.in_chans);
  NodeId x = stem.conv2d("conv", network.input,
                         {.out_channels = channels, .kernel = 7, .stride = 4, .padding = nn::padding(3), .bias = true});
  x = norm(stem, "norm", x);
  for (int64_t stage = 0; stage < 4; ++stage) {
    const Scope scope = root["stages"][stage];
    if (stage > 0) x = downsample(scope["downsample"], x, florence);
    const int64_t stage_heads = heads << stage;
    for (int64_t i = 0; i < depths[stage]; ++i) {
      const Scope pair = scope["blocks"][i];
      x = block(pair[florence ? "spatial_block" : "0"], x, [&, florence = florence](const Scope& attn, NodeId value) {
        return window_attention(attn, value, stage_heads, florence ? 12 : 7);
      });
      x = block(pair[florence ? "channel_block" : "1"], x, [&, florence = florence](const Scope& attn, NodeId value) {
        return channel_attention(attn, value, stage_heads, florence);
      });
    }
    network.add_level(x, 4 << stage, scope.path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes,
                               {.norm = nn::TokenNorm{.eps = 1e-5}});
  return network;
}

}  // namespace

extern constinit const Family davit_family{"davit", names_of(variants), build_variant};

}  // namespace wimm
