// Twins: PCPVT and SVT (timm/models/twins.py). Paper: arXiv 2104.13840.
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
  PerStage channels, heads, mlp_ratios, depths;
  bool windows = false;  // each other block attends within windows, first of all the first
};

constexpr PerStage reductions{8, 4, 2, 1};
constexpr int64_t window = 7;

struct Builder {
  const Variant& variant;
  Scope root;

  // Attention to patches of the image, each convolved to one token.
  NodeId global_attention(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t channels = scope.channels(x), side = reductions[stage];
    const NodeId q = nn::to_tokens(scope, scope.linear("q", x, channels));
    const Linear kv_layer = scope.declare_linear("kv", channels, 2 * channels),
                 proj = scope.declare_linear("proj", channels, channels);
    NodeId reduced = x;
    if (side > 1) {
      reduced = scope.conv2d("sr", x, {.out_channels = channels, .kernel = side, .stride = side, .bias = true});
      reduced = scope.layer_norm("norm", reduced, 1e-5);
    }
    const NodeId kv = nn::to_tokens(scope, scope["kv"].node(kv_layer, {reduced}, 2 * channels));
    const NodeId mixed = nn::attend_to(scope, q, kv, variant.heads[stage]);
    return nn::to_image(scope, scope["proj"].node(proj, {mixed}, channels), x);
  }

  // Images are padded to whole windows.
  NodeId local_attention(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t channels = scope.channels(x);
    const NodeId padded = scope["pad"].node(Pad{.multiple_of = {window, window}}, {x}, channels);
    const NodeId qkv = scope.linear("qkv", padded, 3 * channels);
    Attention op = nn::attention_of(3 * channels, variant.heads[stage]);
    op.windows = Windows{.size = {window, window}};
    const NodeId mixed = scope.node(op, {qkv, qkv, qkv}, channels);
    return scope.linear("proj", scope["crop"].node(Crop{}, {mixed, x}, channels), channels);
  }

  NodeId block(const Scope& scope, NodeId x, size_t stage, bool local) const {
    const NodeId normed = scope.layer_norm("norm1", x);
    x = scope.add(
        x, local ? local_attention(scope["attn"], normed, stage) : global_attention(scope["attn"], normed, stage));
    const int64_t hidden = variant.mlp_ratios[stage] * scope.channels(x);
    return scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = hidden}));
  }
};

// What timm declares before all blocks.
struct Embedding {
  Conv2d proj;
  LayerNorm norm;
};

Embedding declare_embedding(const Scope& scope, int64_t in, int64_t channels, int64_t patch) {
  Embedding embedding;
  embedding.proj =
      scope.declare_conv2d("proj", in, {.out_channels = channels, .kernel = patch, .stride = patch, .bias = true});
  embedding.norm = scope.declare_layer_norm("norm", channels, 1e-5);
  return embedding;
}

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  if (size[0] % 4 != 0 || size[1] % 4 != 0 || size[0] < 32 || size[1] < 32)
    throw Error(ErrorCode::invalid_argument, "img_size must be a multiple of 4, and at least 32, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  network.input = root.input({.channels = options.in_chans, .size = size});

  std::vector<Embedding> embeddings;
  for (int64_t i = 0; i < 4; ++i)
    embeddings.push_back(declare_embedding(root["patch_embeds"][i], i == 0 ? options.in_chans : variant.channels[i - 1],
                                           variant.channels[i], i == 0 ? 4 : 2));
  network.graph.parameters[embeddings[0].proj.weight].takes_input = true;

  NodeId x = network.input;
  std::array<NodeId, 4> position_convs{};
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t channels = variant.channels[i];
    const Scope embed = root["patch_embeds"][i], position = root["pos_block"][i];
    x = embed["norm"].node(embeddings[i].norm, {embed["proj"].node(embeddings[i].proj, {x}, channels)}, channels);
    for (int64_t k = 0; k < variant.depths[i]; ++k) {
      const bool local = variant.windows && k % 2 == 0;
      x = builder.block(root["blocks"][i][k], x, static_cast<size_t>(i), local);
      if (k > 0) continue;
      position_convs[i] = position["proj"].node(Conv2d{}, {x}, channels);  // declared below, as in timm
      x = position.add(position_convs[i], x);
    }
    network.add_level(x, 4 << i, "block." + std::to_string(i));
  }
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t channels = variant.channels[i];
    const nn::ConvOptions depthwise{
        .out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1), .bias = true};
    network.graph.nodes[position_convs[i]].op = root["pos_block"][i]["proj"].declare_conv2d("0", channels, depthwise);
  }

  const std::string_view pool = nn::pool_of(options.global_pool, {"avg", ""});
  network.features = nn::to_tokens(root, root.layer_norm("norm", x));
  network.token_features = true;
  network.num_features = variant.channels[3];
  nn::linear_classifier(
      network, root, "head",
      pool.empty() ? network.features : root.global_pool("global_pool", network.features, PoolKind::avg),
      options.num_classes);
  return network;
}

constexpr PerStage pcpvt{64, 128, 320, 512}, pcpvt_heads{1, 2, 5, 8}, pcpvt_mlp{8, 8, 4, 4}, svt_mlp{4, 4, 4, 4};

constexpr Variant variants[] = {
    {"twins_pcpvt_small", pcpvt, pcpvt_heads, pcpvt_mlp, {3, 4, 6, 3}},
    {"twins_pcpvt_base", pcpvt, pcpvt_heads, pcpvt_mlp, {3, 4, 18, 3}},
    {"twins_pcpvt_large", pcpvt, pcpvt_heads, pcpvt_mlp, {3, 8, 27, 3}},
    {"twins_svt_small", {64, 128, 256, 512}, {2, 4, 8, 16}, svt_mlp, {2, 2, 10, 4}, true},
    {"twins_svt_base", {96, 192, 384, 768}, {3, 6, 12, 24}, svt_mlp, {2, 2, 18, 2}, true},
    {"twins_svt_large", {128, 256, 512, 1024}, {4, 8, 16, 32}, svt_mlp, {2, 2, 18, 2}, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family twins_family{"twins", names_of(variants), build_variant};

}  // namespace wimm
