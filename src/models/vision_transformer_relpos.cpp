// Vision transformers whose positions are biases by relative position, computed by an MLP
// (timm/models/vision_transformer_relpos.py).
// Papers: arXiv 2010.11929, 2111.09883.
#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct RelPos {
  VisionTransformer vit;
  int64_t hidden = 128;  // channels of the MLP
  bool shared = false;   // one MLP for all blocks

  constexpr RelPos(const VisionTransformer& spec, int64_t hidden_channels = 128, bool shared_by_all = false)
      : vit(spec.with(&VisionTransformer::pos_embed, false).ls()), hidden(hidden_channels), shared(shared_by_all) {}
};

struct Variant {
  std::string_view name;
  RelPos spec;
};

constexpr VisionTransformer relpos(const VisionTransformer& spec) { return spec.gap().no_qkv_bias(); }
// The norm behind the pool.
constexpr VisionTransformer fc(const VisionTransformer& spec) { return spec.with(&VisionTransformer::fc_norm, true); }
// Norms behind attention and MLP.
constexpr VisionTransformer rpn(const VisionTransformer& spec) {
  return spec.blocks(VisionTransformer::Block::res_post);
}
constexpr VisionTransformer cls(const VisionTransformer& spec) {
  return spec.with(&VisionTransformer::class_token, true);
}
constexpr VisionTransformer plus(int64_t patch_size) { return vit(patch_size, 896, 12, 14).gap(); }

// clang-format off
constexpr Variant variants[] = {
    {"vit_relpos_base_patch32_plus_rpn_256", rpn(plus(32)).at(256)},
    {"vit_relpos_base_patch16_plus_240", plus(16).at(240)},
    {"vit_relpos_small_patch16_224", fc(relpos(vit_small(16)))},
    {"vit_relpos_medium_patch16_224", fc(relpos(vit_medium(16)))},
    {"vit_relpos_base_patch16_224", fc(relpos(vit_base(16)))},
    {"vit_srelpos_small_patch16_224", {relpos(vit_small(16)), 384, true}},
    {"vit_srelpos_medium_patch16_224", {relpos(vit_medium(16)), 512, true}},
    {"vit_relpos_medium_patch16_cls_224", {cls(relpos(vit_medium(16))).pool("token"), 256}},
    {"vit_relpos_base_patch16_cls_224", cls(relpos(vit_base(16))).pool("token")},
    {"vit_relpos_base_patch16_clsgap_224", fc(cls(relpos(vit_base(16))))},
    {"vit_relpos_small_patch16_rpn_224", rpn(relpos(vit_small(16)))},
    {"vit_relpos_medium_patch16_rpn_224", rpn(relpos(vit_medium(16)))},
    {"vit_relpos_base_patch16_rpn_224", rpn(relpos(vit_base(16)))},
    {"test_vit_relpos", fc(relpos(vit(16, 96, 9, 3).ratio(2).at(160)))},
};
// clang-format on

RelativeBias declare_bias(const Scope& scope, const RelPos& spec, const BlockPlace& place) {
  RelativeBias bias{.grid = place.grid, .prefix = place.prefix};
  bias.mlp = nn::offset_mlp(scope["mlp"], {"fc1", "fc2"}, spec.hidden, spec.vit.num_heads, true);
  return bias;
}

NodeId attention(const Scope& scope, NodeId x, const RelPos& spec, const BlockPlace& place,
                 const std::optional<RelativeBias>& shared) {
  const int64_t channels = scope.channels(x);
  const NodeId qkv = scope.linear("qkv", x, 3 * channels, spec.vit.qkv_bias);
  Attention op = nn::attention_of(3 * channels, spec.vit.num_heads);
  op.bias = shared ? *shared : declare_bias(scope["rel_pos"], spec, place);
  return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
}

NodeId block(const Scope& scope, NodeId x, const RelPos& spec, const BlockPlace& place,
             const std::optional<RelativeBias>& shared) {
  const nn::Mlp mlp{.hidden = static_cast<int64_t>(static_cast<double>(scope.channels(x)) * spec.vit.mlp_ratio)};
  if (spec.vit.block == VisionTransformer::Block::res_post) {
    x = scope.add(x, scope.layer_norm("norm1", attention(scope["attn"], x, spec, place, shared)));
    return scope.add(x, scope.layer_norm("norm2", nn::mlp(scope["mlp"], x, mlp)));
  }
  const NodeId mixed = attention(scope["attn"], scope.layer_norm("norm1", x), spec, place, shared);
  x = scope.add(x, nn::layer_scale(scope, "ls1", mixed));
  return scope.add(x, nn::layer_scale(scope, "ls2", nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), mlp)));
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"avg", "token", ""});
  const RelPos& spec = find(variants, name).spec;
  std::optional<RelativeBias> shared;
  return build_vision_transformer(spec.vit, options, [&](const Scope& scope, NodeId x, const BlockPlace& place) {
    if (spec.shared && !shared) shared = declare_bias(Scope(scope.graph())["shared_rel_pos"], spec, place);
    return block(scope, x, spec, place, shared);
  });
}

}  // namespace

extern constinit const Family vision_transformer_relpos_family{"vision_transformer_relpos", names_of(variants),
                                                               build_variant};

}  // namespace wimm
