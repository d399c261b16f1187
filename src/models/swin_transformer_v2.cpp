// Swin transformers V2: cosine attention, and biases that suit windows of any size
// (timm/models/swin_transformer_v2.py). Paper: arXiv 2111.09883.
#include "models/families.h"
#include "models/swin_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

struct Variant {
  std::string_view name;
  SwinTransformer spec;
};

constexpr SwinTransformer tiny = swin(SwinTransformer::Version::v2, 96, 6, 3).at(256);
constexpr SwinTransformer small = swin(SwinTransformer::Version::v2, 96, 18, 3).at(256);
constexpr SwinTransformer base = swin(SwinTransformer::Version::v2, 128, 18, 4).at(256);
constexpr SwinTransformer large = swin(SwinTransformer::Version::v2, 192, 18, 6).at(256);
// Fine-tuned from windows of 12 pixels, at 192 pixels, to larger ones.
constexpr SwinTransformer from_12(const SwinTransformer& spec) {
  return spec.with(&SwinTransformer::pretrained_windows, Stages{12, 12, 12, 6});
}

// clang-format off
constexpr Variant variants[] = {
    {"swinv2_tiny_window16_256", tiny.window(16)},
    {"swinv2_tiny_window8_256", tiny.window(8)},
    {"swinv2_small_window16_256", small.window(16)},
    {"swinv2_small_window8_256", small.window(8)},
    {"swinv2_base_window16_256", base.window(16)},
    {"swinv2_base_window8_256", base.window(8)},
    {"swinv2_base_window12_192", base.window(12).at(192)},
    {"swinv2_base_window12to16_192to256", from_12(base).window(16)},
    {"swinv2_base_window12to24_192to384", from_12(base).window(24).at(384)},
    {"swinv2_large_window12_192", large.window(12).at(192)},
    {"swinv2_large_window12to16_192to256", from_12(large).window(16)},
    {"swinv2_large_window12to24_192to384", from_12(large).window(24).at(384)},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build_swin(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family swin_transformer_v2_family{"swin_transformer_v2", names_of(variants), build_variant};

}  // namespace wimm
