// Swin transformers: attention in shifted windows (timm/models/swin_transformer.py).
// Paper: arXiv 2103.14030.
#include "models/families.h"
#include "models/swin_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

struct Variant {
  std::string_view name;
  SwinTransformer spec;
};

constexpr SwinTransformer tiny = swin(SwinTransformer::Version::v1, 96, 6, 3);
constexpr SwinTransformer small = swin(SwinTransformer::Version::v1, 96, 18, 3);
constexpr SwinTransformer base = swin(SwinTransformer::Version::v1, 128, 18, 4);
constexpr SwinTransformer large = swin(SwinTransformer::Version::v1, 192, 18, 6);
// AutoFormerV2, arXiv 2111.14725.
constexpr SwinTransformer s3(int64_t depth, const Stages& windows) {
  return swin(SwinTransformer::Version::v1, 96, depth, 3).with(&SwinTransformer::windows, windows);
}

// clang-format off
constexpr Variant variants[] = {
    {"swin_tiny_patch4_window7_224", tiny.window(7)},
    {"swin_small_patch4_window7_224", small.window(7)},
    {"swin_base_patch4_window7_224", base.window(7)},
    {"swin_base_patch4_window12_384", base.window(12).at(384)},
    {"swin_large_patch4_window7_224", large.window(7)},
    {"swin_large_patch4_window12_384", large.window(12).at(384)},
    {"swin_s3_tiny_224", s3(6, {7, 7, 14, 7})},
    {"swin_s3_small_224", s3(18, {14, 14, 14, 7})},
    {"swin_s3_base_224", s3(30, {7, 7, 14, 7})},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build_swin(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family swin_transformer_family{"swin_transformer", names_of(variants), build_variant};

}  // namespace wimm
