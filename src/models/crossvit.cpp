// CrossViT: two vision transformers, of small and of large patches, whose class tokens attend to each other's patches
// (timm/models/crossvit.py). Paper: arXiv 2103.14899.
#include <array>
#include <string>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

using Pair = std::array<NodeId, 2>;  // of the branches

struct Variant {
  std::string_view name;
  int64_t channels, heads;  // of small patches; of large ones twice as many channels, as many heads
  int64_t depth, ratio;     // of the branch of large patches
  bool dagger = false;      // patches are embedded by three convolutions
  int64_t img_size = 240, large_size = 224;
};

// clang-format off
constexpr Variant variants[] = {
    {"crossvit_tiny_240", 96, 3, 4, 4},
    {"crossvit_small_240", 192, 6, 4, 4},
    {"crossvit_base_240", 384, 12, 4, 4},
    {"crossvit_9_240", 128, 4, 3, 3},
    {"crossvit_15_240", 192, 6, 5, 3},
    {"crossvit_18_240", 224, 7, 6, 3},
    {"crossvit_9_dagger_240", 128, 4, 3, 3, true},
    {"crossvit_15_dagger_240", 192, 6, 5, 3, true},
    {"crossvit_15_dagger_408", 192, 6, 5, 3, true, 408, 384},
    {"crossvit_18_dagger_240", 224, 7, 6, 3, true},
    {"crossvit_18_dagger_408", 224, 7, 6, 3, true, 408, 384},
};
// clang-format on

constexpr int64_t stages = 3, patch_sizes[] = {12, 16};

NodeId embed(const Scope& scope, NodeId x, int64_t channels, int64_t patch_size, bool dagger) {
  if (!dagger) return nn::patch_embed(scope, x, channels, patch_size);
  const Scope proj = scope["proj"];
  x = proj.conv2d("0", x,
                  {.out_channels = channels / 4, .kernel = 7, .stride = 4, .padding = nn::padding(3), .bias = true});
  const bool small = patch_size == 12;
  x = proj.conv2d("2", proj.activate("1", x, Activation::relu),
                  {.out_channels = channels / 2,
                   .kernel = 3,
                   .stride = small ? 3 : 2,
                   .padding = nn::padding(small ? 0 : 1),
                   .bias = true});
  return proj.conv2d(
      "4", proj.activate("3", x, Activation::relu),
      {.out_channels = channels, .kernel = 3, .stride = small ? 1 : 2, .padding = nn::padding(1), .bias = true});
}

// A norm, an activation, and the other branch's channels.
NodeId project(const Scope& scope, NodeId token, int64_t channels) {
  token = scope.activate("1", scope.layer_norm("0", token), Activation::gelu);
  return scope.linear("2", token, channels);
}

// The first token attends to all.
NodeId fuse(const Scope& scope, NodeId x, int64_t heads) {
  const NodeId normed = scope.layer_norm("norm1", x);
  return scope.add(nn::first_token(scope, x), nn::class_attention(scope["attn"], normed, heads, {"wq", "wk", "wv"}));
}

Pair block(const Scope& scope, const Pair& x, const Variant& spec) {
  Pair blocks, tokens, fused;
  for (size_t i = 0; i < 2; ++i) {
    const Scope place = scope["blocks"][static_cast<int64_t>(i)];
    blocks[i] = x[i];
    for (int64_t k = 0; k < (i == 0 ? 1 : spec.depth); ++k)
      blocks[i] = nn::transformer_block(place[k], blocks[i], {.heads = spec.heads, .qkv_bias = true},
                                        {.hidden = spec.ratio * scope.channels(x[i])});
  }
  const auto channels = [&](size_t i) { return scope.channels(x[i]); };
  for (size_t i = 0; i < 2; ++i)
    tokens[i] = project(scope["projs"][static_cast<int64_t>(i)], nn::first_token(scope, blocks[i]), channels(1 - i));
  for (size_t i = 0; i < 2; ++i)
    fused[i] = fuse(scope["fusion"][static_cast<int64_t>(i)],
                    nn::join_tokens(scope, tokens[i], nn::other_tokens(scope, blocks[1 - i])), spec.heads);
  for (size_t i = 0; i < 2; ++i)
    fused[i] = nn::join_tokens(scope, project(scope["revert_projs"][static_cast<int64_t>(i)], fused[i], channels(i)),
                               nn::other_tokens(scope, blocks[i]));
  return fused;
}

// The mean of both branches' classifiers. The features of timm are two tensors, which is none for forward_features.
void head(Network& network, const Scope& root, const Pair& x, std::string_view pool, int64_t num_classes) {
  network.num_features = root.channels(x[0]) + root.channels(x[1]);
  Pair pooled;
  for (size_t i = 0; i < 2; ++i) {
    const Scope scope = root["global_pool"][static_cast<int64_t>(i)];
    pooled[i] = pool == "token" ? scope.node(SelectToken{0}, {x[i]}, root.channels(x[i]))
                                : scope.global_pool("avg", nn::other_tokens(scope, x[i]), PoolKind::avg);
  }
  const Scope scope = root["head"];
  network.classifier = {scope["0"].path(), scope["1"].path()};
  network.pre_logits = network.logits = scope.concat({pooled[0], pooled[1]});
  if (num_classes == 0) return;
  Pair logits;
  for (size_t i = 0; i < 2; ++i) {
    logits[i] = scope.linear(std::to_string(i), pooled[i], num_classes);
    const auto& layer = std::get<Linear>(network.graph.nodes[logits[i]].op);
    for (const ParameterId id : {layer.weight, layer.bias}) network.graph.parameters[id].classifier = true;
  }
  network.logits = scope.scale(scope.add(logits[0], logits[1]), 0.5f);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const std::string_view pool = nn::pool_of(options.global_pool, {"token", "avg"});
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  const auto scaled = [&](int64_t side) { return side * spec.large_size / spec.img_size; };
  const std::array<Size2d, 2> sizes{size, {scaled(size[0]), scaled(size[1])}};
  network.input = root.input({.channels = options.in_chans, .size = size});
  std::array<AddPositions, 2> positions;
  std::array<ParameterId, 2> class_tokens;
  for (size_t i = 0; i < 2; ++i) {
    const Size2d grid{sizes[i][0] / patch_sizes[i], sizes[i][1] / patch_sizes[i]};
    const int64_t channels = spec.channels << i;
    const std::string suffix = "_" + std::to_string(i);
    positions[i] = {root.parameter("pos_embed" + suffix, {1, 1 + grid[0] * grid[1], channels}, Init::token), 1, grid};
    class_tokens[i] = root.parameter("cls_token" + suffix, {1, 1, channels}, Init::token);
  }
  Pair x, images;
  for (size_t i = 0; i < 2; ++i) {
    const Scope scope = root["patch_embed"][static_cast<int64_t>(i)];
    const int64_t channels = spec.channels << i;
    const NodeId scaled_input =
        i == 0 ? network.input : scope["scale"].node(Resize{sizes[i]}, {network.input}, options.in_chans);
    images[i] = embed(scope, scaled_input, channels, patch_sizes[i], spec.dagger);
    const NodeId tokens = nn::to_tokens(scope, images[i]);
    x[i] = scope["pos_embed"].node(
        positions[i],
        {nn::join_tokens(scope, scope.node(LearnedTokens{class_tokens[i], 1}, {tokens}, channels), tokens)}, channels);
  }
  std::array<Pair, stages> levels;
  for (int64_t i = 0; i < stages; ++i) levels[static_cast<size_t>(i)] = x = block(root["blocks"][i], x, spec);
  for (size_t branch = 0; branch < 2; ++branch)
    for (int64_t i = 0; i < stages; ++i) {
      const Scope scope = root["blocks"][i];
      const NodeId image =
          nn::to_image(scope, nn::other_tokens(scope, levels[static_cast<size_t>(i)][branch]), images[branch]);
      const int64_t reduction = (patch_sizes[branch] * sizes[0][0] + sizes[branch][0] / 2) / sizes[branch][0];
      network.add_level(image, reduction, scope.path());
    }
  network.out_indices = {stages - 1, 2 * stages - 1};
  for (size_t i = 0; i < 2; ++i) x[i] = root["norm"].layer_norm(std::to_string(i), x[i]);
  head(network, root, x, pool, options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family crossvit_family{"crossvit", names_of(variants), build_variant};

}  // namespace wimm
