// Next-ViT: convolutional blocks, and transformer blocks here and there (timm/models/nextvit.py).
// Paper: arXiv 2207.05501.
#include <array>

#include "models/families.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t depth;  // of the third stage
};

constexpr Variant variants[] = {{"nextvit_small", 10}, {"nextvit_base", 20}, {"nextvit_large", 30}};

constexpr int64_t head_channels = 32;
// Channels of convolutional blocks, and of the transformer blocks that end a stage.
constexpr int64_t conv_channels[] = {96, 192, 384, 768}, transformer_channels[] = {96, 256, 512, 1024},
                  reductions[] = {8, 4, 2, 1};

NodeId embed(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  if (stride == 1 && scope.channels(x) == channels) return x;
  if (stride > 1)
    x = scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true, .count_include_pad = false});
  return scope.batch_norm("norm", scope.conv2d("conv", x, {.out_channels = channels}));
}

NodeId conv_attention(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  x = scope.conv2d(
      "group_conv3x3", x,
      {.out_channels = channels, .kernel = 3, .groups = channels / head_channels, .padding = nn::padding(1)});
  x = scope.activate("act", scope.batch_norm("norm", x), Activation::relu);
  return scope.conv2d("projection", x, {.out_channels = channels});
}

NodeId mlp(const Scope& scope, NodeId x, int64_t ratio) {
  return nn::mlp(scope, x, {.hidden = ratio * scope.channels(x), .activation = Activation::relu, .conv = true});
}

NodeId conv_block(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  x = embed(scope["patch_embed"], x, channels, stride);
  x = scope.add(x, conv_attention(scope["mhca"], x));
  return scope.add(x, mlp(scope["mlp"], scope.batch_norm("norm", x), 3));
}

// Tokens attend to the means of as many of them, one after another, as a square has.
NodeId attention(const Scope& scope, NodeId x, int64_t reduction) {
  const int64_t channels = scope.channels(x), heads = channels / head_channels;
  const auto declare = [&](std::string_view name) { return scope.declare_linear(name, channels, channels); };
  const Linear q = declare("q"), k = declare("k"), v = declare("v"), proj = declare("proj");
  const auto linear = [&](std::string_view name, const Linear& op, NodeId value) {
    return scope[name].node(op, {value}, channels);
  };
  const NodeId query = linear("q", q, x);
  if (reduction > 1) x = scope.batch_norm("norm", scope["sr"].node(PoolTokens{reduction * reduction}, {x}, channels));
  return linear("proj", proj, nn::attend(scope, query, linear("k", k, x), linear("v", v, x), heads, heads));
}

NodeId transformer_block(const Scope& scope, NodeId x, int64_t channels, int64_t stride, int64_t reduction) {
  const int64_t attended = nn::make_divisible(0.75 * static_cast<double>(channels), 32);
  x = embed(scope["patch_embed"], x, attended, stride);
  const NodeId tokens = nn::to_tokens(scope, scope.batch_norm("norm1", x));
  x = scope.add(x, nn::to_image(scope, attention(scope["e_mhsa"], tokens, reduction), x));
  NodeId y = embed(scope["projection"], x, channels - attended, 1);
  y = scope.add(y, conv_attention(scope["mhca"], y));
  x = scope.concat({x, y});
  return scope.add(x, mlp(scope["mlp"], scope.batch_norm("norm2", x), 2));
}

NodeId stem(const Scope& scope, NodeId x) {
  constexpr int64_t channels[] = {64, 32, 64, 64};
  for (int64_t i = 0; i < 4; ++i) {
    x = scope[i].conv2d(
        "conv", x, {.out_channels = channels[i], .kernel = 3, .stride = i % 3 == 0 ? 2 : 1, .padding = nn::padding(1)});
    x = scope[i].activate("act", scope[i].batch_norm("norm", x), Activation::relu);
  }
  return x;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const std::array<int64_t, 4> depths{3, 4, find(variants, name).depth, 3};
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = stem(root["stem"], network.input);
  for (size_t stage = 0; stage < 4; ++stage) {
    const Scope scope = root["stages"][static_cast<int64_t>(stage)];
    for (int64_t i = 0; i < depths[stage]; ++i) {
      const Scope block = scope["blocks"][i];
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const bool transforms = stage == 2 ? i % 5 == 4 : stage > 0 && i == depths[stage] - 1;
      x = transforms ? transformer_block(block, x, transformer_channels[stage], stride, reductions[stage])
                     : conv_block(block, x, conv_channels[stage], stride);
    }
    network.add_level(x, 4 << stage, scope.path());
  }
  nn::classifier_head(network, root["head"], root.batch_norm("norm", x), options.global_pool.value_or("avg"),
                      options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family nextvit_family{"nextvit", names_of(variants), build_variant};

}  // namespace wimm
