// Swin transformers V2 in another implementation, trained by timm (timm/models/swin_transformer_v2_cr.py).
// Paper: arXiv 2111.09883.
#include "models/families.h"
#include "models/swin_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

struct Variant {
  std::string_view name;
  SwinTransformer spec;
};

constexpr SwinTransformer tiny = swin(SwinTransformer::Version::v2_cr, 96, 6, 3);
constexpr SwinTransformer small = swin(SwinTransformer::Version::v2_cr, 96, 18, 3);
constexpr SwinTransformer base = swin(SwinTransformer::Version::v2_cr, 128, 18, 4);
constexpr SwinTransformer large = swin(SwinTransformer::Version::v2_cr, 192, 18, 6);
// A norm after every sixth block.
constexpr SwinTransformer huge(int64_t heads) {
  return swin(SwinTransformer::Version::v2_cr, 352, 18, heads).with(&SwinTransformer::norm_period, 6);
}
constexpr SwinTransformer ns(const SwinTransformer& spec) { return spec.with(&SwinTransformer::stage_norm, true); }

// clang-format off
constexpr Variant variants[] = {
    {"swinv2_cr_tiny_384", tiny.at(384)},
    {"swinv2_cr_tiny_224", tiny},
    {"swinv2_cr_tiny_ns_224", ns(tiny)},
    {"swinv2_cr_small_384", small.at(384)},
    {"swinv2_cr_small_224", small},
    {"swinv2_cr_small_ns_224", ns(small)},
    {"swinv2_cr_small_ns_256", ns(small).at(256)},
    {"swinv2_cr_base_384", base.at(384)},
    {"swinv2_cr_base_224", base},
    {"swinv2_cr_base_ns_224", ns(base)},
    {"swinv2_cr_large_384", large.at(384)},
    {"swinv2_cr_large_224", large},
    {"swinv2_cr_huge_384", huge(11).at(384)},
    {"swinv2_cr_huge_224", huge(8)},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build_swin(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family swin_transformer_v2_cr_family{"swin_transformer_v2_cr", names_of(variants),
                                                            build_variant};

}  // namespace wimm
