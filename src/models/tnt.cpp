// Transformers in transformers (timm/models/tnt.py). Paper: arXiv 2103.00112.
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
  int64_t channels, inner_channels, heads;
  bool legacy = false;  // pixels are embedded across patches, and projected with a bias, without a second norm
};

constexpr int64_t patch = 16, stride = 4, inner_side = patch / stride, pixels = inner_side * inner_side;
constexpr int64_t inner_heads = 4, depth = 12;
constexpr double eps = 1e-5;

struct Builder {
  const Variant& variant;
  Scope root;

  // Each patch as an image of its own, each pixel of which is a token: [N · patches, 16, inner channels].
  NodeId pixel_embed(NodeId input, const AddPositions& positions) const {
    const int64_t channels = variant.inner_channels, side = variant.legacy ? inner_side : patch;
    const Conv2d proj = root["pixel_embed"].declare_conv2d(
        "proj", root.channels(input),
        {.out_channels = channels, .kernel = 7, .stride = stride, .padding = nn::padding(3), .bias = true});
    root.graph().parameters[proj.weight].takes_input = true;
    const auto divide = [&](NodeId x) {
      return root["pixel_embed"].node(Patches{{side, side}}, {x}, root.channels(x));
    };
    const auto embed = [&](NodeId x) { return root["pixel_embed"]["proj"].node(proj, {x}, channels); };
    const NodeId x = variant.legacy ? divide(embed(input)) : embed(divide(input));
    return root["pixel_pos"].node(positions, {nn::to_tokens(root, x)}, channels);
  }

  // The tokens within each patch, one behind the other, as one token: [N, patches, 16 · inner channels].
  NodeId join(const Scope& scope, NodeId inner, NodeId like) const {
    return scope.node(JoinPatches{}, {inner, like}, pixels * scope.channels(inner));
  }

  NodeId attention(const Scope& scope, NodeId x, int64_t heads) const {
    const int64_t channels = scope.channels(x);
    const NodeId qk = scope.linear("qk", x, 2 * channels, false), v = scope.linear("v", x, channels, false);
    return scope.linear("proj", nn::attend_by(scope, qk, v, heads), channels);
  }

  NodeId mlp(const Scope& scope, NodeId x) const { return nn::mlp(scope, x, {.hidden = 4 * scope.channels(x)}); }

  // What the inner tokens give to those of their patches.
  NodeId project(const Scope& scope, NodeId inner, NodeId outer) const {
    if (variant.legacy)
      return scope.linear("proj", join(scope, scope.layer_norm("norm1_proj", inner, eps), outer), variant.channels);
    const NodeId all = scope.layer_norm("norm1_proj", join(scope, inner, outer), eps);
    return scope.layer_norm("norm2_proj", scope.linear("proj", all, variant.channels, false), eps);
  }

  void block(const Scope& scope, NodeId& inner, NodeId& outer) const {
    inner = scope.add(inner, attention(scope["attn_in"], scope.layer_norm("norm_in", inner, eps), inner_heads));
    inner = scope.add(inner, mlp(scope["mlp_in"], scope.layer_norm("norm_mlp_in", inner, eps)));
    const NodeId token = nn::first_token(scope, outer), patches = nn::other_tokens(scope, outer);
    outer = nn::join_tokens(scope, token, scope.add(patches, project(scope, inner, outer)));
    outer = scope.add(outer, attention(scope["attn_out"], scope.layer_norm("norm_out", outer, eps), variant.heads));
    outer = scope.add(outer, mlp(scope["mlp"], scope.layer_norm("norm_mlp", outer, eps)));
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const int64_t channels = variant.channels;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  if (size[0] % patch != 0 || size[1] % patch != 0 || size[0] < patch || size[1] < patch)
    throw Error(ErrorCode::invalid_argument, "img_size must be a multiple of 16 in height and width, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  const Size2d grid{size[0] / patch, size[1] / patch};
  const ParameterId cls_token = root.parameter("cls_token", {1, 1, channels}, Init::token),
                    patch_pos = root.parameter("patch_pos", {1, grid[0] * grid[1] + 1, channels}, Init::token),
                    pixel_pos =
                        root.parameter("pixel_pos", {1, variant.inner_channels, inner_side, inner_side}, Init::token);
  network.graph.parameters[patch_pos].positions = {grid, 1, {224 / patch, 224 / patch}, Resampling::bicubic};

  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId inner = builder.pixel_embed(
      network.input, {.positions = pixel_pos, .prefix = 0, .grid = {inner_side, inner_side}, .planes = true});
  NodeId outer = root.layer_norm("norm1_proj", builder.join(root, inner, network.input), eps);
  outer = root.layer_norm("norm2_proj", root.linear("proj", outer, channels), eps);
  outer = root.node(ConcatTokens{}, {root["cls_token"].node(LearnedTokens{cls_token, 1}, {outer}, channels), outer},
                    channels);
  outer = root["patch_pos"].node(AddPositions{.positions = patch_pos, .prefix = 1, .grid = grid}, {outer}, channels);
  for (int64_t i = 0; i < depth; ++i) {
    const Scope scope = root["blocks"][i];
    builder.block(scope, inner, outer);
    const NodeId patches = scope.node(DropTokens{1}, {outer}, channels);
    network.add_level(scope.node(ToImage{grid}, {patches}, channels), patch, scope.path());
  }
  for (int64_t i = 3; i > 0; --i) network.out_indices.push_back(depth - i);
  nn::token_classifier_head(network, root, root.layer_norm("norm", outer, eps),
                            nn::pool_of(options.global_pool, {"token", "avg", ""}), options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"tnt_s_legacy_patch16_224", 384, 24, 6, true},
    {"tnt_s_patch16_224", 384, 24, 6},
    {"tnt_b_patch16_224", 640, 40, 10},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family tnt_family{"tnt", names_of(variants), build_variant};

}  // namespace wimm
