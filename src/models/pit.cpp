// Pooling-based vision transformers (timm/models/pit.py). Paper: arXiv 2103.16302.
#include <array>
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
using PerStage = std::array<int64_t, 3>;

struct Variant {
  std::string_view name;
  int64_t patch_size, head_channels;
  PerStage depths, heads;
  bool distilled = false;

  int64_t stride() const { return patch_size / 2; }
  int64_t tokens() const { return distilled ? 2 : 1; }  // before those of the image
};

struct Builder {
  const Variant& variant;
  Scope root;

  // Patches that overlap by half, as tokens with their positions.
  NodeId embed(NodeId input, const LearnedTokens& positions, Size2d grid) const {
    const NodeId image = root["patch_embed"].conv2d("conv", input,
                                                    {.out_channels = root.graph().parameters[positions.tokens].shape[1],
                                                     .kernel = variant.patch_size,
                                                     .stride = variant.stride(),
                                                     .bias = true});
    const AddPositions add{.positions = positions.tokens, .prefix = 0, .grid = grid, .planes = true};
    const NodeId x = root["pos_embed"].node(add, {nn::to_tokens(root, image)}, root.channels(image));
    return nn::to_image(root, x, image);
  }

  // The image and its prefix of tokens, both with twice the channels, a quarter of the pixels left.
  void pool(const Scope& scope, NodeId& image, NodeId& prefix, int64_t channels) const {
    image = scope.conv2d("conv", image,
                         {.out_channels = channels,
                          .kernel = 3,
                          .stride = 2,
                          .groups = scope.channels(image),
                          .padding = nn::padding(1),
                          .bias = true});
    prefix = scope.linear("fc", prefix, channels);
  }

  void stage(const Scope& scope, NodeId& image, NodeId& prefix, size_t index) const {
    const int64_t heads = variant.heads[index], channels = variant.head_channels * heads;
    if (index > 0) pool(scope["pool"], image, prefix, channels);
    NodeId x = scope.node(ConcatTokens{}, {prefix, nn::to_tokens(scope, image)}, channels);
    for (int64_t i = 0; i < variant.depths[index]; ++i)
      x = nn::transformer_block(scope["blocks"][i], x, {.heads = heads, .qkv_bias = true}, {.hidden = 4 * channels});
    prefix = scope.node(SliceTokens{0, variant.tokens()}, {x}, channels);
    image = nn::to_image(scope, scope.node(DropTokens{variant.tokens()}, {x}, channels), image);
  }

  void head(Network& network, NodeId tokens, const BuildOptions& options) const {
    const std::string_view pool = variant.distilled ? nn::pool_of(options.global_pool, {"token"})
                                                    : nn::pool_of(options.global_pool, {"token", ""});
    const int64_t channels = root.channels(tokens);
    const auto token = [&](int64_t i) { return root["global_pool"].node(SelectToken{i}, {tokens}, channels); };
    network.features = tokens;
    network.token_features = true;
    network.num_features = channels;
    if (variant.distilled) return nn::distilled_classifier(network, root, token(0), token(1), options.num_classes);
    nn::linear_classifier(network, root, "head", pool.empty() ? tokens : token(0), options.num_classes);
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  const auto patches = [&](int64_t pixels) { return (pixels - variant.patch_size) / variant.stride() + 1; };
  if (std::min(size[0], size[1]) < variant.patch_size)
    throw Error(ErrorCode::invalid_argument, "img_size must be at least the patches' " +
                                                 std::to_string(variant.patch_size) + " pixels, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  const Size2d grid{patches(size[0]), patches(size[1])};
  const int64_t channels = variant.head_channels * variant.heads[0];
  const LearnedTokens positions{root.parameter("pos_embed", {1, channels, grid[0], grid[1]}, Init::token), 0},
      prefix_tokens{root.parameter("cls_token", {1, variant.tokens(), channels}, Init::token), variant.tokens()};

  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId image = builder.embed(network.input, positions, grid);
  NodeId prefix = root["cls_token"].node(prefix_tokens, {image}, channels);
  for (size_t i = 0; i < 3; ++i) {
    const Scope scope = root["transformers"][static_cast<int64_t>(i)];
    builder.stage(scope, image, prefix, i);
    network.add_level(image, variant.stride() << i, scope.path());
  }
  builder.head(network, root.layer_norm("norm", prefix), options);
  return network;
}

constexpr PerStage shallow{2, 6, 4}, deep{3, 6, 4}, few{2, 4, 8}, some{3, 6, 12}, many{4, 8, 16};

constexpr Variant variants[] = {
    {"pit_b_224", 14, 64, deep, many},
    {"pit_s_224", 16, 48, shallow, some},
    {"pit_xs_224", 16, 48, shallow, few},
    {"pit_ti_224", 16, 32, shallow, few},
    {"pit_b_distilled_224", 14, 64, deep, many, true},
    {"pit_s_distilled_224", 16, 48, shallow, some, true},
    {"pit_xs_distilled_224", 16, 48, shallow, few, true},
    {"pit_ti_distilled_224", 16, 32, shallow, few, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family pit_family{"pit", names_of(variants), build_variant};

}  // namespace wimm
