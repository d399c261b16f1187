// ViTamin: vision transformers over convolutional stages (timm/models/vitamin.py). Paper: arXiv 2404.02132.
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/channels.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t width;  // of the first stage
  VisionTransformer spec;
};

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  x = scope.conv2d("conv1", x,
                   {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
  x = scope.activate("act1", scope.layer_norm("norm1", x), Activation::gelu);
  return scope.conv2d("conv2", x, {.out_channels = channels, .kernel = 3, .padding = nn::padding(1), .bias = true});
}

// An inverted bottleneck whose only norm comes first.
NodeId block(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  const int64_t hidden = nn::make_divisible(4.0 * static_cast<double>(channels));
  NodeId shortcut = x;
  if (stride == 2) {
    const Scope down = scope["shortcut"];
    shortcut = down.avg_pool(
        "pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1), .count_include_pad = false});
    if (scope.channels(x) != channels)
      shortcut = down.conv2d("expand", shortcut, {.out_channels = channels, .bias = true});
  }
  x = scope.conv2d("conv1_1x1", scope.layer_norm("pre_norm", x), {.out_channels = hidden, .bias = true});
  x = scope.conv2d("conv2_kxk", scope.activate("act1", x, Activation::gelu),
                   {.out_channels = hidden,
                    .kernel = 3,
                    .stride = stride,
                    .groups = hidden,
                    .padding = nn::padding(1),
                    .bias = true});
  x = scope.conv2d("conv3_1x1", scope.activate("act2", x, Activation::gelu), {.out_channels = channels, .bias = true});
  return scope.add(x, shortcut);
}

// Two stages and a last strided convolution: a sixteenth of height and width.
NodeId backbone(const Scope& scope, NodeId x, const Variant& variant) {
  x = stem(scope["stem"], x, variant.width);
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t k = 0; k < (i == 0 ? 2 : 4); ++k)
      x = block(scope["stages"][i][k], x, variant.width << i, k == 0 ? 2 : 1);
  const Scope pool = scope["pool"];
  const Conv2d proj = pool.declare_conv2d(
      "proj", scope.channels(x),
      {.out_channels = variant.spec.embed_dim, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
  return pool["proj"].node(proj, {pool.layer_norm("norm", x)}, variant.spec.embed_dim);
}

constexpr VisionTransformer vitamin(int64_t channels, int64_t depth, int64_t heads, int64_t size = 224) {
  return vit(16, channels, depth, heads)
      .ratio(2)
      .at(size)
      .avg()
      .with(&VisionTransformer::mlp, nn::Mlp::Kind::normed_geglu);
}
constexpr VisionTransformer large(int64_t size) { return vitamin(1024, 31, 16, size); }

constexpr Variant variants[] = {
    {"vitamin_small_224", 64, vitamin(384, 14, 6)}, {"vitamin_base_224", 128, vitamin(768, 14, 12)},
    {"vitamin_large_224", 160, large(224)},         {"vitamin_large_256", 160, large(256)},
    {"vitamin_large_336", 160, large(336)},         {"vitamin_large_384", 160, large(384)},
    {"vitamin_large2_224", 160, large(224)},        {"vitamin_large2_256", 160, large(256)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return build_vision_transformer(
      variant.spec, options, [&](const Scope& scope, NodeId x) { return backbone(scope["backbone"], x, variant); });
}

}  // namespace

extern constinit const Family vitamin_family{"vitamin", names_of(variants), build_variant};

}  // namespace wimm
