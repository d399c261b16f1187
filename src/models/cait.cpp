// CaiT: deep vision transformers whose heads talk, and a class token that comes last (timm/models/cait.py).
// Paper: arXiv 2103.17239.
#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t channels, depth, heads, img_size;
};

// clang-format off
constexpr Variant variants[] = {
    {"cait_xxs24_224", 192, 24, 4, 224},
    {"cait_xxs24_384", 192, 24, 4, 384},
    {"cait_xxs36_224", 192, 36, 4, 224},
    {"cait_xxs36_384", 192, 36, 4, 384},
    {"cait_xs24_384", 288, 24, 6, 384},
    {"cait_s24_224", 384, 24, 8, 224},
    {"cait_s24_384", 384, 24, 8, 384},
    {"cait_s36_384", 384, 36, 8, 384},
    {"cait_m36_384", 768, 36, 16, 384},
    {"cait_m48_448", 768, 48, 16, 448},
};
// clang-format on

constexpr int64_t patch_size = 16, class_blocks = 2;

struct Gammas {
  ParameterId first, second;
};

Gammas declare_gammas(const Scope& scope, int64_t channels) {
  return {scope.parameter("gamma_1", {channels}, Init::layer_scale),
          scope.parameter("gamma_2", {channels}, Init::layer_scale)};
}

NodeId scaled(const Scope& scope, NodeId x, ParameterId gamma) {
  return scope.node(Affine{.weight = gamma}, {x}, scope.channels(x));
}

NodeId talking_heads(const Scope& scope, NodeId x, int64_t heads) {
  const int64_t channels = scope.channels(x);
  const NodeId qkv = scope.linear("qkv", x, 3 * channels);
  const Linear proj = scope.declare_linear("proj", channels, channels),
               before = scope.declare_linear("proj_l", heads, heads),
               after = scope.declare_linear("proj_w", heads, heads);
  const Attention parts = nn::attention_of(3 * channels, heads);
  const TalkingHeads op{.heads = heads,
                        .scale = parts.scale,
                        .q = parts.q,
                        .k = parts.k,
                        .v = parts.v,
                        .before_weight = before.weight,
                        .before_bias = before.bias,
                        .after_weight = after.weight,
                        .after_bias = after.bias};
  return scope["proj"].node(proj, {scope.node(op, {qkv, qkv, qkv}, channels)}, channels);
}

NodeId block(const Scope& scope, NodeId x, int64_t heads) {
  const Gammas gammas = declare_gammas(scope, scope.channels(x));
  const nn::Mlp mlp{.hidden = 4 * scope.channels(x)};
  x = scope.add(x, scaled(scope, talking_heads(scope["attn"], scope.layer_norm("norm1", x), heads), gammas.first));
  return scope.add(x, scaled(scope, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), mlp), gammas.second));
}

// The class token [N, 1, C] attends to itself and to x.
NodeId class_block(const Scope& scope, NodeId token, NodeId x, int64_t heads) {
  const int64_t channels = scope.channels(x);
  const Gammas gammas = declare_gammas(scope, channels);
  const NodeId all = scope.layer_norm("norm1", nn::join_tokens(scope, token, x));
  token = scope.add(token, scaled(scope, nn::class_attention(scope["attn"], all, heads), gammas.first));
  const NodeId refined = nn::mlp(scope["mlp"], scope.layer_norm("norm2", token), {.hidden = 4 * channels});
  return scope.add(token, scaled(scope, refined, gammas.second));
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const std::string_view pool = nn::pool_of(options.global_pool, {"token", "avg", ""});
  const auto& [_, channels, depth, heads, img_size] = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{img_size, img_size});
  const Size2d grid{size[0] / patch_size, size[1] / patch_size};
  network.input = root.input({.channels = options.in_chans, .size = size});
  const ParameterId token = root.parameter("cls_token", {1, 1, channels}, Init::token),
                    positions = root.parameter("pos_embed", {1, grid[0] * grid[1], channels}, Init::token);
  const NodeId image = nn::patch_embed(root["patch_embed"], network.input, channels, patch_size);
  NodeId x = root["patch_embed"].node(ToTokens{}, {image}, channels);
  x = root["pos_embed"].node(AddPositions{positions, 0, grid}, {x}, channels);
  for (int64_t i = 0; i < depth; ++i) {
    x = block(root["blocks"][i], x, heads);
    network.add_level(root["levels"][i].node(ToImage{}, {x, image}, channels), patch_size, root["blocks"][i].path());
    if (i >= depth - 3) network.out_indices.push_back(i);
  }
  NodeId last = root["cls_token"].node(LearnedTokens{token, 1}, {x}, channels);
  for (int64_t i = 0; i < class_blocks; ++i) last = class_block(root["blocks_token_only"][i], last, x, heads);
  x = root.layer_norm("norm", nn::join_tokens(root, last, x));
  nn::token_classifier_head(network, root, x, pool, options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family cait_family{"cait", names_of(variants), build_variant};

}  // namespace wimm
