// NaFlexViT: vision transformers for images of any height and width, whose positions are resampled to them
// (timm/models/naflexvit.py, of images as they are, not cut into patches before).
// Papers: NaViT arXiv 2307.06304, FlexiViT 2212.08013, SigLIP 2 2502.14786.
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

constexpr int64_t grid = 16;  // the side of that whose positions are learned

constexpr VisionTransformer naflex(const VisionTransformer& vit) {
  return vit.no_class().dynamic().with(&VisionTransformer::embeds, true).with(&VisionTransformer::pos_embed, false);
}
constexpr VisionTransformer gap(const VisionTransformer& vit, int64_t registers) {
  return naflex(vit).ls().reg(registers).pool("avg").with(&VisionTransformer::fc_norm, true);
}
constexpr VisionTransformer map(const VisionTransformer& vit) { return naflex(vit).map(); }
constexpr VisionTransformer so150m2() { return vit(16, 832, 21, 13).ratio(34.0 / 13).no_qkv_bias(); }

// clang-format off
constexpr Variant variants[] = {
    {"naflexvit_base_patch16_gap", gap(vit_base(16), 4)},
    {"naflexvit_base_patch16_map", map(vit_base(16)).ls().reg(1)},
    {"naflexvit_so150m2_patch16_reg1_gap", gap(so150m2(), 1)},
    {"naflexvit_so150m2_patch16_reg1_map", map(so150m2()).ls().reg(1)},
};
// clang-format on

// timm's NaFlexEmbeds: a linear layer of each patch's rows, columns and channels, [N, H, W, C] → [N, H / 16, W / 16,
// embed_dim], and positions resampled to these.
NodeId embed(const Scope& scope, NodeId x, const VisionTransformer& spec) {
  const AddGrid positions{.positions = scope.parameter("pos_embed", {1, grid, grid, spec.embed_dim}, Init::token),
                          .grid = {grid, grid},
                          .resampling = spec.resampling};
  const int64_t patch = spec.patch_size;
  x = scope["patches"].node(SpaceToDepth{patch}, {x}, patch * patch * scope.channels(x));
  return scope["pos_embed"].node(positions, {scope.linear("proj", x, spec.embed_dim)}, spec.embed_dim);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"avg", "avgmax", "max", "token", "map", ""});
  VisionTransformer vit = find(variants, name).spec;
  const std::string_view pool = options.global_pool ? std::string_view(*options.global_pool) : vit.global_pool;
  vit.fc_norm = vit.fc_norm.value_or(pool == "avg");
  return build_vision_transformer(vit, options, [&](const Scope& scope, NodeId x) { return embed(scope, x, vit); });
}

}  // namespace

extern constinit const Family naflexvit_family{"naflexvit", names_of(variants), build_variant};

}  // namespace wimm
