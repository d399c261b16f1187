// Vision-friendly transformers (timm/models/visformer.py). Paper: arXiv 2104.12533.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t stem_channels, embed_dim, heads;
};

struct Builder {
  const Variant& variant;
  Scope root;

  NodeId attention(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    const NodeId qkv = nn::to_tokens(scope, scope.conv2d("qkv", x, {.out_channels = 3 * channels}));
    const NodeId mixed = nn::to_image(scope, nn::attend(scope, qkv, variant.heads), x);
    return scope.conv2d("proj", mixed, {.out_channels = channels});
  }

  // An MLP, with a grouped convolution inside where it is spatial.
  NodeId mlp(const Scope& scope, NodeId x, bool spatial) const {
    const int64_t channels = scope.channels(x), hidden = (spatial ? 2 : 4) * channels;
    x = scope.activate("act1", scope.conv2d("conv1", x, {.out_channels = hidden}), Activation::gelu);
    if (spatial) {
      x = scope.conv2d("conv2", x, {.out_channels = hidden, .kernel = 3, .groups = 8, .padding = nn::padding(1)});
      x = scope.activate("act2", x, Activation::gelu);
    }
    return scope.conv2d("conv3", x, {.out_channels = channels});
  }

  NodeId patch_embed(const Scope& scope, NodeId x, int64_t channels, int64_t patch, const AddPositions& add) const {
    x = scope.conv2d("proj", x, {.out_channels = channels, .kernel = patch, .stride = patch, .bias = true});
    x = scope.batch_norm("norm", x);
    return nn::to_image(scope, scope["pos_embed"].node(add, {nn::to_tokens(scope, x)}, channels), x);
  }

  // The first has convolutions, the others attention.
  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    for (int64_t i = 0; i < (index == 0 ? 7 : 4); ++i) {
      const Scope block = scope[i];
      if (index > 0) x = block.add(x, attention(block["attn"], block.batch_norm("norm1", x)));
      x = block.add(x, mlp(block["mlp"], block.batch_norm("norm2", x), index == 0));
    }
    return x;
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});

  std::array<AddPositions, 3> positions;
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t reduction = 8 << i;
    const Size2d grid{size[0] / reduction, size[1] / reduction};
    const ParameterId embedding = root.parameter("pos_embed" + std::to_string(i + 1),
                                                 {1, variant.embed_dim / 2 << i, grid[0], grid[1]}, Init::token);
    positions[i] = {.positions = embedding, .prefix = 0, .grid = grid, .planes = true};
  }
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = root["stem"].conv2d(
      "0", network.input, {.out_channels = variant.stem_channels, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
  x = root["stem"].activate("2", root["stem"].batch_norm("1", x), Activation::relu);
  for (int64_t i = 0; i < 3; ++i) {
    const std::string number = std::to_string(i + 1), name = "stage" + number;
    x = builder.patch_embed(root["patch_embed" + number], x, variant.embed_dim / 2 << i, i == 0 ? 4 : 2, positions[i]);
    x = builder.stage(root[name], x, static_cast<size_t>(i));
    network.add_level(x, 8 << i, name);
  }
  nn::linear_classifier_head(network, root, "head", root.batch_norm("norm", x), options.global_pool.value_or("avg"),
                             options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"visformer_tiny", 16, 192, 3},
    {"visformer_small", 32, 384, 6},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family visformer_family{"visformer", names_of(variants), build_variant};

}  // namespace wimm
