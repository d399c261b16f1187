// The image encoder of Segment Anything: attention in windows, here and there in all of the image
// (timm/models/vision_transformer_sam.py).
// Paper: arXiv 2304.02643.
#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t channels, depth, heads;
  int64_t img_size = 1024;
  bool neck = true, positions = true;
};

// clang-format off
constexpr Variant variants[] = {
    {"samvit_base_patch16", 768, 12, 12},
    {"samvit_large_patch16", 1024, 24, 16},
    {"samvit_base_patch16_224", 768, 12, 12, 224, false, false},
};
// clang-format on

constexpr int64_t patch_size = 16, window = 14, neck_channels = 256;

// Size {0, 0}: of all of the image.
NodeId attention(const Scope& scope, NodeId x, int64_t heads, Size2d size, Size2d grid) {
  const int64_t channels = scope.channels(x), depth = channels / heads;
  const bool windowed = size != Size2d{};
  const Size2d learned = windowed ? size : grid;
  const auto offsets = [&](std::string_view name, int64_t side) {
    return scope.parameter(name, {2 * side - 1, depth}, Init::token);
  };
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{.size = size};
  op.products = OffsetProducts{.rows = offsets("rel_pos_h", learned[0]), .columns = offsets("rel_pos_w", learned[1])};
  const NodeId padded = windowed ? scope.node(Pad{.multiple_of = size}, {x}, channels) : x;
  const NodeId qkv = scope.linear("qkv", padded, 3 * channels);
  const NodeId mixed = scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
  return windowed ? scope.node(Crop{}, {mixed, x}, channels) : mixed;
}

NodeId neck(const Scope& root, NodeId x, const Variant& spec) {
  if (!spec.neck) return root.layer_norm("neck", x);
  const Scope scope = root["neck"];
  x = scope.layer_norm("1", scope.conv2d("0", x, {.out_channels = neck_channels}));
  x = scope.conv2d("2", x, {.out_channels = neck_channels, .kernel = 3, .padding = nn::padding(1)});
  return scope.layer_norm("3", x);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  const Size2d grid{size[0] / patch_size, size[1] / patch_size};
  network.input = root.input({.channels = options.in_chans, .multiple_of = {patch_size, patch_size}});
  AddGrid positions{.positions = no_id, .grid = grid};
  if (spec.positions)
    positions.positions = root.parameter("pos_embed", {1, grid[0], grid[1], spec.channels}, Init::token);
  NodeId x = nn::patch_embed(root["patch_embed"], network.input, spec.channels, patch_size);
  if (spec.positions) x = root["pos_embed"].node(positions, {x}, spec.channels);
  for (int64_t i = 0; i < spec.depth; ++i) {
    const Scope scope = root["blocks"][i];
    const bool global = (i + 1) % (spec.depth / 4) == 0;
    const NodeId mixed = attention(scope["attn"], scope.layer_norm("norm1", x), spec.heads,
                                   global ? Size2d{} : Size2d{window, window}, grid);
    x = scope.add(x, mixed);
    x = scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 4 * spec.channels}));
    network.add_level(x, patch_size, scope.path());
    if (i >= spec.depth - 3) network.out_indices.push_back(i);
  }
  nn::classifier_head(network, root["head"], neck(root, x, spec), options.global_pool.value_or("avg"),
                      options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family vision_transformer_sam_family{"vision_transformer_sam", names_of(variants),
                                                            build_variant};

}  // namespace wimm
