// Hiera: attention in mask units, whose queries are pooled from stage to stage (timm/models/hiera.py).
// Paper: arXiv 2306.00989.
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
  std::array<int64_t, 4> depths;
  int64_t img_size = 224;
  int64_t positions = 0;        // abswin: side of the grid whose positions are added to those of a window
  bool expands_by_proj = true;  // else by pooling twice
};

// clang-format off
constexpr Variant variants[] = {
    {"hiera_tiny_224", 96, 1, {1, 2, 7, 2}},
    {"hiera_small_224", 96, 1, {1, 2, 11, 2}},
    {"hiera_base_224", 96, 1, {2, 3, 16, 3}},
    {"hiera_base_plus_224", 112, 2, {2, 3, 16, 3}},
    {"hiera_large_224", 144, 2, {2, 6, 36, 4}},
    {"hiera_huge_224", 256, 4, {2, 6, 36, 4}},
    {"hiera_small_abswin_256", 96, 1, {1, 2, 11, 2}, 256, 16, false},
    {"hiera_base_abswin_256", 96, 1, {2, 3, 16, 3}, 256, 14},
};
// clang-format on

constexpr int64_t mask_unit = 8;

NodeId max_pool(const Scope& scope, NodeId x) {
  return scope.max_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
}

// Queries of pairs of rows and columns are pooled; window 0: all of the image.
NodeId attention(const Scope& scope, NodeId x, int64_t channels, int64_t heads, int64_t window, bool pools) {
  const NodeId qkv = scope.linear("qkv", x, 3 * channels);
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{.size = {window, window}};
  NodeId q = qkv;
  if (pools) q = max_pool(scope, scope.slice(qkv, 0, channels));
  return scope.linear("proj", scope.node(op, {q, qkv, qkv}, channels), channels);
}

NodeId block(const Scope& scope, NodeId x, const Variant& spec, int64_t channels, int64_t heads, int64_t window) {
  const bool expands = channels != scope.channels(x);
  const NodeId y = scope.layer_norm("norm1", x);
  if (expands && spec.expands_by_proj) x = max_pool(scope, scope.linear("proj", y, channels));
  if (expands && !spec.expands_by_proj)
    x = scope.concat({max_pool(scope, x), scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}})});
  const auto scaled = [&](std::string_view name, NodeId value) {
    return spec.positions > 0 ? nn::layer_scale(scope, name, value) : value;
  };
  x = scope.add(x, scaled("ls1", attention(scope["attn"], y, channels, heads, window, expands)));
  return scope.add(x, scaled("ls2", nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 4 * channels})));
}

AddGrid declare_positions(const Scope& root, const Variant& spec, Size2d grid) {
  const int64_t channels = spec.channels, side = spec.positions;
  if (side == 0)
    return {.positions = root.parameter("pos_embed", {1, grid[0] * grid[1], channels}, Init::token), .grid = grid};
  AddGrid op{.positions = root.parameter("pos_embed", {1, channels, side, side}, Init::token), .grid = {side, side}};
  op.channels_first = true;
  op.window = root.parameter("pos_embed_win", {1, channels, mask_unit, mask_unit}, Init::token);
  op.window_size = {mask_unit, mask_unit};
  return op;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  network.input = root.input({.channels = options.in_chans, .size = size});
  const AddGrid positions = declare_positions(root, spec, {size[0] / 4, size[1] / 4});
  NodeId x = root["patch_embed"].conv2d(
      "proj", network.input,
      {.out_channels = spec.channels, .kernel = 7, .stride = 4, .padding = nn::padding(3), .bias = true});
  x = root["pos_embed"].node(positions, {x}, spec.channels);
  int64_t index = 0;
  for (int64_t stage = 0; stage < 4; ++stage) {
    for (int64_t i = 0; i < spec.depths[stage]; ++i, ++index) {
      // A stage's first block attends as the stage before it.
      const int64_t windows_of = stage > 0 && i == 0 ? stage - 1 : stage;
      x = block(root["blocks"][index], x, spec, spec.channels << stage, spec.heads << stage,
                windows_of < 2 ? mask_unit >> windows_of : 0);
    }
    network.add_level(x, 4 << stage, root["blocks"][index - 1].path());
  }
  const NodeId tokens = root["tokens"].node(ToTokens{}, {x}, root.channels(x));
  nn::norm_mlp_classifier_head(network, root["head"], tokens, options.global_pool.value_or("avg"), options.num_classes,
                               {.channels_last = true});
  network.token_features = true;
  return network;
}

}  // namespace

extern constinit const Family hiera_family{"hiera", names_of(variants), build_variant};

}  // namespace wimm
