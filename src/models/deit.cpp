// DeiT and DeiT III: vision transformers trained on ImageNet alone, some by distillation (timm/models/deit.py).
// Papers: arXiv 2012.12877, 2204.07118.
#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"

namespace wimm {
namespace {

struct Variant {
  std::string_view name;
  VisionTransformer spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"deit_tiny_patch16_224", vit_tiny(16)},
    {"deit_small_patch16_224", vit_small(16)},
    {"deit_base_patch16_224", vit_base(16)},
    {"deit_base_patch16_384", vit_base(16).at(384)},
    {"deit_tiny_distilled_patch16_224", vit_tiny(16).distilled()},
    {"deit_small_distilled_patch16_224", vit_small(16).distilled()},
    {"deit_base_distilled_patch16_224", vit_base(16).distilled()},
    {"deit_base_distilled_patch16_384", vit_base(16).at(384).distilled()},
    {"deit3_small_patch16_224", vit_small(16).ls().no_embed()},
    {"deit3_small_patch16_384", vit_small(16).at(384).ls().no_embed()},
    {"deit3_medium_patch16_224", vit_medium(16).ls().no_embed()},
    {"deit3_base_patch16_224", vit_base(16).ls().no_embed()},
    {"deit3_base_patch16_384", vit_base(16).at(384).ls().no_embed()},
    {"deit3_large_patch16_224", vit_large(16).ls().no_embed()},
    {"deit3_large_patch16_384", vit_large(16).at(384).ls().no_embed()},
    {"deit3_huge_patch14_224", vit_huge(14).ls().no_embed()},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build_vision_transformer(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family deit_family{"deit", names_of(variants), build_variant};

}  // namespace wimm
