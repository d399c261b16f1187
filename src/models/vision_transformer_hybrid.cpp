// Vision transformers over the features of a convolutional network (timm/models/vision_transformer_hybrid.py).
// Papers: arXiv 2010.11929, how to train them 2106.10270, MobileCLIP 2311.17049.
#include "models/families.h"
#include "models/resnet.h"
#include "models/resnetv2.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/conv_norm_act.h"

namespace wimm {
namespace {

using nn::Scope;

using Layers = std::array<int64_t, 4>;  // blocks of each stage; 0 for stages that are not there

// resnet: ResNet-D; resnetv2: BiT's, of which without layers there is the stem alone; conv_stem: MobileCLIP's.
enum class Backbone : uint8_t { resnet, resnetv2, conv_stem };

struct Variant {
  std::string_view name;
  Backbone backbone;
  Layers layers;
  VisionTransformer spec;
  bool linear_projection = false;  // of the features; else a convolution
};

constexpr int64_t stem_only_patch_size = 8;  // of the features; elsewhere each pixel of them is a patch

// Three convolutions of total stride 16.
NodeId conv_stem(const Scope& scope, NodeId x, int64_t channels) {
  const nn::NormAct gelu{.activation = Activation::gelu};
  x = nn::conv_norm_act(scope, "0", x, {.out_channels = channels / 4, .kernel = 4, .stride = 4}, gelu);
  x = nn::conv_norm_act(scope, "1", x, {.out_channels = channels / 4, .kernel = 2, .stride = 2}, gelu);
  return scope["2"].conv2d("conv", x, {.out_channels = channels, .kernel = 2, .stride = 2, .bias = true});
}

NodeId embed(const Variant& variant, const Scope& scope, NodeId x) {
  const Scope backbone = scope["backbone"];
  const int64_t channels = variant.spec.embed_dim;
  switch (variant.backbone) {
    case Backbone::conv_stem:
      return conv_stem(backbone, x, channels);
    case Backbone::resnet: {
      const auto [a, b, c, d] = variant.layers;
      x = resnet_backbone(backbone, x, resnet::bottleneck(a, b, c, d).d());
      break;
    }
    case Backbone::resnetv2:
      x = resnetv2_backbone(backbone, x, variant.layers);
      break;
  }
  if (variant.linear_projection) return scope.linear("proj", x, channels);
  const int64_t patch = variant.layers == Layers{} ? stem_only_patch_size : 1;
  return scope.conv2d("proj", x, {.out_channels = channels, .kernel = patch, .stride = patch, .bias = true});
}

// timm's "small" of the hybrids that have ResNet-D.
constexpr VisionTransformer vit_shallow(int64_t patch_size) { return vit(patch_size, 768, 8, 8).ratio(3); }

constexpr Layers stem{}, r26{2, 2, 2, 2}, r50{3, 4, 6, 3}, r50_s16{3, 4, 9, 0}, resnet50_s16{3, 4, 6, 0};

// clang-format off
constexpr Variant variants[] = {
    {"vit_tiny_r_s16_p8_224", Backbone::resnetv2, stem, vit_tiny(32)},
    {"vit_tiny_r_s16_p8_384", Backbone::resnetv2, stem, vit_tiny(32).at(384)},
    {"vit_small_r26_s32_224", Backbone::resnetv2, r26, vit_small(32)},
    {"vit_small_r26_s32_384", Backbone::resnetv2, r26, vit_small(32).at(384)},
    {"vit_base_r26_s32_224", Backbone::resnetv2, r26, vit_base(32)},
    {"vit_base_r50_s16_224", Backbone::resnetv2, r50_s16, vit_base(16)},
    {"vit_base_r50_s16_384", Backbone::resnetv2, r50_s16, vit_base(16).at(384)},
    {"vit_large_r50_s32_224", Backbone::resnetv2, r50, vit_large(32)},
    {"vit_large_r50_s32_384", Backbone::resnetv2, r50, vit_large(32).at(384)},
    {"vit_small_resnet26d_224", Backbone::resnet, r26, vit_shallow(32)},
    {"vit_small_resnet50d_s16_224", Backbone::resnet, resnet50_s16, vit_shallow(16)},
    {"vit_base_resnet26d_224", Backbone::resnet, r26, vit_base(32)},
    {"vit_base_resnet50d_224", Backbone::resnet, r50, vit_base(32)},
    {"vit_base_mci_224", Backbone::conv_stem, stem, vit_base(16).no_embed()},
    // Of timm 0.3.4; later releases have a convolution for its linear layer, and biases.
    {"vit_small_resnet50d_s3_224", Backbone::resnet, resnet50_s16, vit_shallow(16).no_qkv_bias().eps(1e-5), true},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return build_vision_transformer(variant.spec, options,
                                  [&](const Scope& scope, NodeId x) { return embed(variant, scope, x); });
}

}  // namespace

extern constinit const Family vision_transformer_hybrid_family{"vision_transformer_hybrid", names_of(variants),
                                                               build_variant};

}  // namespace wimm
