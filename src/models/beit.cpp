// BEiT and BEiT v2: vision transformers of which each block has biases by relative position (timm/models/beit.py).
// Papers: arXiv 2106.08254, 2208.06366.
#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  VisionTransformer spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"beit_base_patch16_224", vit_base(16)},
    {"beit_base_patch16_384", vit_base(16).at(384)},
    {"beit_large_patch16_224", vit_large(16)},
    {"beit_large_patch16_384", vit_large(16).at(384)},
    {"beit_large_patch16_512", vit_large(16).at(512)},
    {"beitv2_base_patch16_224", vit_base(16)},
    {"beitv2_large_patch16_224", vit_large(16)},
};
// clang-format on

NodeId attention(const Scope& scope, NodeId x, int64_t heads, const BlockPlace& place) {
  const int64_t channels = scope.channels(x);
  const auto bias = [&](std::string_view name) { return scope.parameter(name, {channels}, Init::zeros); };
  const ParameterId q_bias = bias("q_bias"), v_bias = bias("v_bias");
  Attention op = nn::attention_of(3 * channels, heads);
  op.bias = RelativeBias{.grid = place.grid, .prefix = 1};
  op.bias->table = nn::relative_bias_table(scope, "relative_position_bias_table", *op.bias, heads);
  Linear linear = scope.declare_linear("qkv", channels, 3 * channels, false);
  linear.bias_parts = {q_bias, no_id, v_bias};
  const NodeId qkv = scope["qkv"].node(linear, {x}, 3 * channels);
  return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
}

NodeId block(const Scope& scope, NodeId x, int64_t heads, const BlockPlace& place) {
  const int64_t channels = scope.channels(x);
  const auto gamma = [&](std::string_view name) { return scope.parameter(name, {channels}, Init::layer_scale); };
  const ParameterId gamma_1 = gamma("gamma_1"), gamma_2 = gamma("gamma_2");
  const auto scaled = [&](NodeId value, ParameterId weight) {
    return scope.node(Affine{.weight = weight}, {value}, channels);
  };
  x = scope.add(x, scaled(attention(scope["attn"], scope.layer_norm("norm1", x), heads, place), gamma_1));
  return scope.add(x, scaled(nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 4 * channels}), gamma_2));
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"avg", "token", ""});
  const VisionTransformer spec = find(variants, name).spec.pool("avg").with(&VisionTransformer::pos_embed, false);
  return build_vision_transformer(spec, options, [&](const Scope& scope, NodeId x, const BlockPlace& place) {
    return block(scope, x, spec.num_heads, place);
  });
}

}  // namespace

extern constinit const Family beit_family{"beit", names_of(variants), build_variant};

}  // namespace wimm
