// HieraDet: the image encoder of Segment Anything 2, of any image size (timm/models/hieradet_sam2.py).
// Paper: arXiv 2408.00714.
#include <algorithm>
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
  int64_t channels, heads;  // of the first stage, doubled in each that follows
  std::array<int64_t, 4> depths, windows;
  std::array<int64_t, 3> global_blocks;
  int64_t positions = 7;  // side of the grid that has them
  bool layer_scale = false;
};

// clang-format off
constexpr Variant variants[] = {
    {"sam2_hiera_tiny", 96, 1, {1, 2, 7, 2}, {8, 4, 14, 7}, {5, 7, 9}},
    {"sam2_hiera_small", 96, 1, {1, 2, 11, 2}, {8, 4, 14, 7}, {7, 10, 13}},
    {"sam2_hiera_base_plus", 112, 2, {2, 3, 16, 3}, {8, 4, 14, 7}, {12, 16, 20}, 14},
    {"sam2_hiera_large", 144, 2, {2, 6, 36, 4}, {8, 4, 16, 8}, {23, 33, 43}},
    {"hieradet_small", 96, 1, {1, 2, 11, 2}, {8, 4, 16, 8}, {7, 10, 13}, 7, true},
};
// clang-format on

NodeId max_pool(const Scope& scope, NodeId x) {
  return scope.max_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
}

NodeId attention(const Scope& scope, NodeId x, int64_t channels, int64_t heads, int64_t window, bool pools) {
  const Size2d size{window, window};
  if (window > 0) x = scope.node(Pad{.multiple_of = size}, {x}, scope.channels(x));
  const NodeId qkv = scope.linear("qkv", x, 3 * channels);
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{.size = size};
  const NodeId q = pools ? max_pool(scope, scope.slice(qkv, 0, channels)) : qkv;
  return scope.linear("proj", scope.node(op, {q, qkv, qkv}, channels), channels);
}

// timm declares the projection of the shortcut before the norm that precedes it.
NodeId block(const Scope& scope, NodeId x, const Variant& spec, int64_t channels, int64_t heads, int64_t window) {
  const bool expands = channels != scope.channels(x);
  Linear proj;
  if (expands) proj = scope.declare_linear("proj", scope.channels(x), channels);
  const NodeId y = scope.layer_norm("norm1", x);
  if (expands) x = max_pool(scope, scope["proj"].node(proj, {y}, channels));
  const auto scaled = [&](std::string_view name, NodeId value) {
    return spec.layer_scale ? nn::layer_scale(scope, name, value) : value;
  };
  NodeId mixed = attention(scope["attn"], y, channels, heads, window, expands);
  if (window > 0) mixed = scope.node(Crop{}, {mixed, x}, channels);
  x = scope.add(x, scaled("ls1", mixed));
  return scope.add(x, scaled("ls2", nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 4 * channels})));
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const int64_t side = spec.positions, unit = spec.windows[0];
  network.input = root.input({.channels = options.in_chans, .multiple_of = {4 * unit, 4 * unit}});
  const AddGrid positions{.positions = root.parameter("pos_embed", {1, spec.channels, side, side}, Init::token),
                          .grid = {side, side},
                          .channels_first = true,
                          .resampling = Resampling::bicubic_sharp,
                          .window = root.parameter("pos_embed_window", {1, spec.channels, unit, unit}, Init::token),
                          .window_size = {unit, unit}};
  NodeId x = root["patch_embed"].conv2d(
      "proj", network.input,
      {.out_channels = spec.channels, .kernel = 7, .stride = 4, .padding = nn::padding(3), .bias = true});
  x = root["pos_embed"].node(positions, {x}, spec.channels);
  int64_t index = 0;
  for (int64_t stage = 0; stage < 4; ++stage) {
    for (int64_t i = 0; i < spec.depths[stage]; ++i, ++index) {
      // A stage's first block attends in the windows of the stage before it.
      const bool global = std::ranges::find(spec.global_blocks, index) != spec.global_blocks.end();
      const int64_t window = global ? 0 : spec.windows[stage > 0 && i == 0 ? stage - 1 : stage];
      x = block(root["blocks"][index], x, spec, spec.channels << stage, spec.heads << stage, window);
    }
    network.add_level(x, 4 << stage, root["blocks"][index - 1].path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes,
                               {.channels_last = true});
  return network;
}

}  // namespace

extern constinit const Family hieradet_sam2_family{"hieradet_sam2", names_of(variants), build_variant};

}  // namespace wimm
