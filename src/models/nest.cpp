// Nested hierarchical transformers (timm/models/nest.py). Paper: arXiv 2105.12723.
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

struct Variant {
  std::string_view name;
  int64_t width, heads, depth;  // of the first level; blocks of the third
  bool tf = false;              // TensorFlow's padding
};

constexpr int64_t patch = 4, blocks_a_side = 4;  // of the first level; each level has half as many

struct Builder {
  const Variant& variant;
  Scope root;

  // Halves height and width.
  NodeId aggregate(const Scope& scope, NodeId x) const {
    const Padding padding = variant.tf ? nn::tf_same : nn::padding(1);
    x = scope.conv2d("conv", x, {.out_channels = 2 * scope.channels(x), .kernel = 3, .padding = padding, .bias = true});
    return scope.max_pool("pool", scope.layer_norm("norm", x),
                          {.kernel = {3, 3}, .stride = {2, 2}, .padding = padding});
  }

  NodeId attention(const Scope& scope, NodeId x, int64_t heads, Size2d block) const {
    const int64_t channels = scope.channels(x);
    Attention op = nn::attention_of(3 * channels, heads);
    op.windows = Windows{.size = block};
    op.interleaved = true;
    const NodeId qkv = scope.linear("qkv", x, 3 * channels);
    return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
  }

  NodeId level(const Scope& scope, NodeId x, int64_t index, Size2d block) const {
    const int64_t channels = variant.width << index, blocks = blocks_a_side >> index;
    const ParameterId embedding =
        scope.parameter("pos_embed", {1, blocks * blocks, block[0] * block[1], channels}, Init::token);
    if (index > 0) x = aggregate(scope["pool"], x);
    const AddGrid positions{.positions = embedding, .grid = {blocks * block[0], blocks * block[1]}, .block = block};
    x = scope["pos_embed"].node(positions, {x}, channels);
    for (int64_t i = 0; i < (index == 2 ? variant.depth : 2); ++i) {
      const Scope layer = scope["transformer_encoder"][i];
      x = layer.add(x, attention(layer["attn"], layer.layer_norm("norm1", x), variant.heads << index, block));
      x = layer.add(x, nn::mlp(layer["mlp"], layer.layer_norm("norm2", x), {.hidden = 4 * channels}));
    }
    return x;
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  if (size[0] != size[1] || size[0] % (patch * blocks_a_side) != 0 || size[0] < patch * blocks_a_side)
    throw Error(ErrorCode::invalid_argument, "img_size must be square, and a multiple of 16, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  const int64_t side = size[0] / patch / blocks_a_side;
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = root["patch_embed"].conv2d(
      "proj", network.input, {.out_channels = variant.width, .kernel = patch, .stride = patch, .bias = true});
  for (int64_t i = 0; i < 3; ++i) {
    const Scope scope = root["levels"][i];
    x = builder.level(scope, x, i, {side, side});
    network.add_level(x, 4 << i, scope.path());
  }
  nn::linear_classifier_head(network, root, "head", root.layer_norm("norm", x), options.global_pool.value_or("avg"),
                             options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"nest_base", 128, 4, 20},          {"nest_small", 96, 3, 20},          {"nest_tiny", 96, 3, 8},
    {"nest_base_jx", 128, 4, 20, true}, {"nest_small_jx", 96, 3, 20, true}, {"nest_tiny_jx", 96, 3, 8, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family nest_family{"nest", names_of(variants), build_variant};

}  // namespace wimm
