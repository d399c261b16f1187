// EfficientFormer v2: mobile blocks, and attention whose heads talk (timm/models/efficientformer_v2.py).
// Paper: arXiv 2212.08059.
#include <array>
#include <cmath>
#include <vector>

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
  std::array<int64_t, 4> depths, channels;
  int64_t attentive;  // blocks of the last two stages that attend, their last
  // Blocks of the last two stages whose MLPs have three times the channels, not four: the first ones and how many.
  std::array<int64_t, 2> narrow_first, narrow;
};

// clang-format off
constexpr Variant variants[] = {
    {"efficientformerv2_s0", {2, 2, 6, 4}, {32, 48, 96, 176}, 2, {1, 1}, {3, 2}},
    {"efficientformerv2_s1", {3, 3, 9, 6}, {32, 48, 120, 224}, 2, {2, 2}, {4, 2}},
    {"efficientformerv2_s2", {4, 4, 12, 8}, {32, 64, 144, 288}, 4, {2, 2}, {6, 4}},
    {"efficientformerv2_l", {5, 5, 15, 10}, {40, 80, 192, 384}, 6, {4, 3}, {7, 4}},
};
// clang-format on

constexpr int64_t heads = 8;
constexpr nn::NormAct linear{.activation = Activation::identity}, gelu{.activation = Activation::gelu};

NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const nn::NormAct& act = linear) {
  return nn::conv_norm_act(scope, name, x, {.out_channels = channels, .bias = true}, act);
}

NodeId conv3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride, int64_t groups = 1,
             const nn::NormAct& act = linear) {
  return nn::conv_norm_act(scope, name, x,
                           {.out_channels = channels,
                            .kernel = 3,
                            .stride = stride,
                            .groups = groups,
                            .padding = nn::padding(1),
                            .bias = true},
                           act);
}

Attention::Heads parts(int64_t depth) { return {0, depth, depth}; }

RelativeBias distances(const Scope& scope, Size2d grid, int64_t stride) {
  const ParameterId table = scope.parameter("attention_biases", {heads, grid[0] * grid[1]}, Init::zeros);
  return {.grid = grid, .table = table, .symmetric = true, .stride = stride};
}

NodeId talking_attention(const Scope& scope, NodeId x, Size2d grid, int64_t stride) {
  constexpr int64_t depth = 32, value_depth = 128, width = heads * value_depth;
  const int64_t channels = scope.channels(x);
  if (stride > 1) grid = {(grid[0] + 1) / stride, (grid[1] + 1) / stride};
  TalkingHeads op{.heads = heads,
                  .scale = 1 / std::sqrt(static_cast<double>(depth)),
                  .q = parts(depth),
                  .k = parts(depth),
                  .v = parts(value_depth),
                  .bias = distances(scope, grid, 1)};
  const NodeId y = stride > 1 ? conv3(scope, "stride_conv", x, channels, stride, channels) : x;
  const NodeId q = conv(scope, "q", y, heads * depth), k = conv(scope, "k", y, heads * depth),
               v = conv(scope, "v", y, width), local = conv3(scope, "v_local", v, width, 1, width);
  const nn::ConvOptions mix{.out_channels = heads, .bias = true};
  const Conv2d before = scope.declare_conv2d("talking_head1", heads, mix),
               after = scope.declare_conv2d("talking_head2", heads, mix);
  op.before_weight = before.weight;
  op.before_bias = before.bias;
  op.after_weight = after.weight;
  op.after_bias = after.bias;
  NodeId mixed = scope.add(scope.node(op, {q, k, v}, width), local);
  if (stride > 1) mixed = scope["upsample"].node(Interpolate{Interpolate::Mode::bilinear}, {mixed, x}, width);
  return conv(scope, "proj", scope.activate("act", mixed, Activation::gelu), channels);
}

// From every second pixel to all.
NodeId strided_attention(const Scope& scope, NodeId x, int64_t channels, Size2d grid) {
  constexpr int64_t depth = 16, value_depth = 64, width = heads * value_depth;
  const int64_t in = scope.channels(x);
  const Attention op{.heads = heads,
                     .kv_heads = heads,
                     .scale = 1 / std::sqrt(static_cast<double>(depth)),
                     .q = parts(depth),
                     .k = parts(depth),
                     .v = parts(value_depth),
                     .windows = Windows{},
                     .bias = distances(scope, grid, 2)};
  const Scope query = scope["q"];
  const NodeId local = query.conv2d(
      "local", x,
      {.out_channels = in, .kernel = 3, .stride = 2, .groups = in, .padding = nn::padding(1), .bias = true});
  const NodeId every_second = query.avg_pool("pool", x, {.kernel = {1, 1}, .stride = {2, 2}});
  const NodeId q = conv(query, "proj", query.add(local, every_second), heads * depth),
               k = conv(scope, "k", x, heads * depth), v = conv(scope, "v", x, width),
               v_local = conv3(scope, "v_local", v, width, 2, width);
  const NodeId mixed = scope.add(scope.node(op, {q, k, v}, width), v_local);
  return conv(scope, "proj", scope.activate("act", mixed, Activation::gelu), channels);
}

NodeId mlp(const Scope& scope, NodeId x, int64_t ratio) {
  const int64_t channels = scope.channels(x), hidden = ratio * channels;
  x = conv3(scope, "mid", conv(scope, "fc1", x, hidden, gelu), hidden, 1, hidden, gelu);
  return conv(scope, "fc2", x, channels);
}

NodeId stage(const Scope& scope, NodeId x, const Variant& spec, size_t index, Size2d& grid) {
  if (index > 0) {
    const Scope down = scope["downsample"];
    const NodeId y = conv3(down, "conv", x, spec.channels[index], 2);
    x = index == 3 ? down.add(strided_attention(down["attn"], x, spec.channels[index], grid), y) : y;
    grid = {(grid[0] + 1) / 2, (grid[1] + 1) / 2};
  }
  for (int64_t i = 0; i < spec.depths[index]; ++i) {
    const Scope block = scope["blocks"][i];
    const bool late = index >= 2, attends = late && i >= spec.depths[index] - spec.attentive;
    if (attends) {
      const NodeId mixed = talking_attention(block["token_mixer"], x, grid, index == 2 ? 2 : 1);
      x = block.add(x, nn::layer_scale(block, "ls1", mixed));
    }
    const int64_t after = late ? i - spec.narrow_first[index - 2] : -1;
    const bool narrow = after >= 0 && after < spec.narrow[index - 2];
    x = block.add(x, nn::layer_scale(block, "ls2", mlp(block["mlp"], x, narrow ? 3 : 4)));
  }
  return x;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph), stem = root["stem"];
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = conv3(stem, "conv1", network.input, spec.channels[0] / 2, 2, 1, gelu);
  x = conv3(stem, "conv2", x, spec.channels[0], 2, 1, gelu);
  Size2d grid{(size[0] + 3) / 4, (size[1] + 3) / 4};
  for (size_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = stage(scope, x, spec, i, grid);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::distilled_head(network, root, root.batch_norm("norm", x), nn::pool_of(options.global_pool, {"avg", ""}),
                     options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family efficientformer_v2_family{"efficientformer_v2", names_of(variants), build_variant};

}  // namespace wimm
