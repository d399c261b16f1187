// ConViT: vision transformers with soft convolutional biases (timm/models/convit.py). Paper: arXiv 2103.10697.
#include <cmath>
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

struct Variant {
  std::string_view name;
  int64_t heads;  // of 48 channels
};

constexpr int64_t patch = 16, head_channels = 48, depth = 12, local_depth = 10;

struct Builder {
  const Variant& variant;
  Scope root;
  int64_t side;  // of the square of patches

  int64_t channels() const { return head_channels * variant.heads; }

  // Gated positional self-attention: what tokens have in common and where they are, mixed.
  NodeId local_attention(const Scope& scope, NodeId x) const {
    const int64_t heads = variant.heads;
    const ParameterId gate = scope.parameter("gating_param", {heads}, Init::ones);
    const NodeId qk = scope.linear("qk", x, 2 * channels(), false), v = scope.linear("v", x, channels(), false);
    const Linear proj = scope.declare_linear("proj", channels(), channels()),
                 positions = scope.declare_linear("pos_proj", 3, heads);
    const GatedAttention op{.heads = heads,
                            .side = side,
                            .scale = 1 / std::sqrt(static_cast<double>(head_channels)),
                            .weight = positions.weight,  // its bias is the same for every offset: softmax drops it
                            .gate = gate};
    return scope["proj"].node(proj, {scope.node(op, {qk, v}, channels())}, channels());
  }

  NodeId block(const Scope& scope, NodeId x, bool local) const {
    const NodeId normed = scope.layer_norm("norm1", x);
    x = scope.add(x, local ? local_attention(scope["attn"], normed)
                           : nn::self_attention(scope["attn"], normed, {.heads = variant.heads}));
    return scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 4 * channels()}));
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  if (size[0] != size[1] || size[0] < patch)
    throw Error(ErrorCode::invalid_argument, "img_size must be square, and at least " + std::to_string(patch) +
                                                 " pixels, got " + std::to_string(size[0]) + " × " +
                                                 std::to_string(size[1]));
  const Builder builder{variant, Scope(network.graph), size[0] / patch};
  const Scope& root = builder.root;
  const int64_t channels = builder.channels(), side = builder.side;

  const ParameterId cls_token = root.parameter("cls_token", {1, 1, channels}, Init::token),
                    pos_embed = root.parameter("pos_embed", {1, side * side, channels}, Init::token);
  network.input = root.input({.channels = options.in_chans, .size = size});
  const NodeId image = root["patch_embed"].conv2d(
      "proj", network.input, {.out_channels = channels, .kernel = patch, .stride = patch, .bias = true});
  NodeId x = root["pos_embed"].node(AddPositions{.positions = pos_embed, .prefix = 0, .grid = {side, side}},
                                    {nn::to_tokens(root, image)}, channels);
  for (int64_t i = 0; i < depth; ++i) {
    const Scope scope = root["blocks"][i];
    if (i == local_depth)
      x = scope.node(ConcatTokens{}, {root["cls_token"].node(LearnedTokens{cls_token, 1}, {x}, channels), x}, channels);
    x = builder.block(scope, x, i < local_depth);
    const NodeId patches = i < local_depth ? x : scope.node(DropTokens{1}, {x}, channels);
    network.add_level(nn::to_image(scope, patches, image), patch, scope.path());
  }
  for (int64_t i = 3; i > 0; --i) network.out_indices.push_back(depth - i);
  nn::token_classifier_head(network, root, root.layer_norm("norm", x),
                            nn::pool_of(options.global_pool, {"token", "avg", ""}), options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"convit_tiny", 4},
    {"convit_small", 9},
    {"convit_base", 16},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family convit_family{"convit", names_of(variants), build_variant};

}  // namespace wimm
