// Cross-covariance image transformers (timm/models/xcit.py). Paper: arXiv 2106.09681.
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  int64_t patch_size, channels, depth, heads;
  bool norms_all_tokens = true;  // before the MLPs of the last blocks; else the class token alone
};

struct Builder {
  const Variant& variant;
  Scope root;

  // Halves height and width with each convolution.
  NodeId patch_embed(const Scope& scope, NodeId x) const {
    for (int64_t divisor = variant.patch_size / 2, i = 0; divisor > 0; divisor /= 2, i += 2) {
      const Scope conv = scope[i];
      x = conv.conv2d(
          "0", x, {.out_channels = variant.channels / divisor, .kernel = 3, .stride = 2, .padding = nn::padding(1)});
      x = conv.batch_norm("1", x);
      if (divisor > 1) x = scope.activate("act", x, Activation::gelu);
    }
    return x;
  }

  NodeId mlp(const Scope& scope, NodeId x) const { return nn::mlp(scope, x, {.hidden = 4 * variant.channels}); }

  Affine gamma(const Scope& scope, std::string_view name) const {
    return {.weight = scope.parameter(name, {variant.channels}, Init::layer_scale)};
  }
  NodeId scaled(const Scope& scope, const Affine& gamma, NodeId x) const {
    return scope.node(gamma, {x}, variant.channels);
  }

  // Channels attend to channels, by their cross-covariance over the tokens.
  NodeId cross_covariance(const Scope& scope, NodeId x) const {
    const int64_t channels = variant.channels;
    const ParameterId temperature = scope.parameter("temperature", {variant.heads, 1, 1}, Init::ones);
    const NodeId qkv = scope.linear("qkv", x, 3 * channels);
    return scope.linear("proj", scope.node(CrossCovariance{variant.heads, temperature}, {qkv}, channels), channels);
  }

  // Neighbouring tokens exchange what they have.
  NodeId local_patch_interaction(const Scope& scope, const Affine& gamma, NodeId x, NodeId image) const {
    const int64_t channels = variant.channels;
    const nn::ConvOptions depthwise{
        .out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1), .bias = true};
    x = nn::to_image(scope, x, image);
    x = scope.activate("act", scope.conv2d("conv1", x, depthwise), Activation::gelu);
    x = scaled(scope, gamma, scope.conv2d("conv2", scope.batch_norm("bn", x), depthwise));
    return nn::to_tokens(scope, x);
  }

  NodeId block(const Scope& scope, NodeId x, NodeId image) const {
    const Affine gamma1 = gamma(scope, "gamma1"), gamma3 = gamma(scope, "gamma3"), gamma2 = gamma(scope, "gamma2");
    x = scope.add(x, scaled(scope, gamma1, cross_covariance(scope["attn"], scope.layer_norm("norm1", x))));
    x = scope.add(x, local_patch_interaction(scope["local_mp"], gamma3, scope.layer_norm("norm3", x), image));
    return scope.add(x, scaled(scope, gamma2, mlp(scope["mlp"], scope.layer_norm("norm2", x))));
  }

  NodeId class_block(const Scope& scope, NodeId x) const {
    const Affine gamma1 = gamma(scope, "gamma1"), gamma2 = gamma(scope, "gamma2");
    const NodeId normed = scope.layer_norm("norm1", x);
    const NodeId attended = nn::join_tokens(scope, nn::class_attention(scope["attn"], normed, variant.heads),
                                            nn::other_tokens(scope, normed));
    x = scope.add(x, scaled(scope, gamma1, attended));
    x = variant.norms_all_tokens
            ? scope.layer_norm("norm2", x)
            : nn::join_tokens(scope, scope.layer_norm("norm2", nn::first_token(scope, x)), nn::other_tokens(scope, x));
    const NodeId token = scaled(scope, gamma2, mlp(scope["mlp"], nn::first_token(scope, x)));
    return scope.add(x, nn::join_tokens(scope, token, nn::other_tokens(scope, x)));
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const int64_t channels = variant.channels;

  const ParameterId cls_token = root.parameter("cls_token", {1, 1, channels}, Init::token);
  network.input = root.input(options.in_chans);
  const NodeId image = builder.patch_embed(root["patch_embed"]["proj"], network.input);
  const Conv2d projection =
      root["pos_embed"].declare_conv2d("token_projection", 64, {.out_channels = channels, .bias = true});
  NodeId x = root["pos_embed"].node(AddFourierPositions{projection.weight, projection.bias}, {image}, channels);
  x = nn::to_tokens(root, x);
  for (int64_t i = 0; i < variant.depth; ++i) {
    const Scope scope = root["blocks"][i];
    x = builder.block(scope, x, image);
    network.add_level(nn::to_image(scope, x, image), variant.patch_size, scope.path());
  }
  for (int64_t i = 3; i > 0; --i) network.out_indices.push_back(variant.depth - i);
  x = nn::join_tokens(root, root["cls_token"].node(LearnedTokens{cls_token, 1}, {x}, channels), x);
  for (int64_t i = 0; i < 2; ++i) x = builder.class_block(root["cls_attn_blocks"][i], x);
  nn::token_classifier_head(network, root, root.layer_norm("norm", x),
                            nn::pool_of(options.global_pool, {"token", "avg", ""}), options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"xcit_nano_12_p16_224", 16, 128, 12, 4, false}, {"xcit_nano_12_p16_384", 16, 128, 12, 4, false},
    {"xcit_tiny_12_p16_224", 16, 192, 12, 4},        {"xcit_tiny_12_p16_384", 16, 192, 12, 4},
    {"xcit_small_12_p16_224", 16, 384, 12, 8},       {"xcit_small_12_p16_384", 16, 384, 12, 8},
    {"xcit_tiny_24_p16_224", 16, 192, 24, 4},        {"xcit_tiny_24_p16_384", 16, 192, 24, 4},
    {"xcit_small_24_p16_224", 16, 384, 24, 8},       {"xcit_small_24_p16_384", 16, 384, 24, 8},
    {"xcit_medium_24_p16_224", 16, 512, 24, 8},      {"xcit_medium_24_p16_384", 16, 512, 24, 8},
    {"xcit_large_24_p16_224", 16, 768, 24, 16},      {"xcit_large_24_p16_384", 16, 768, 24, 16},
    {"xcit_nano_12_p8_224", 8, 128, 12, 4, false},   {"xcit_nano_12_p8_384", 8, 128, 12, 4, false},
    {"xcit_tiny_12_p8_224", 8, 192, 12, 4},          {"xcit_tiny_12_p8_384", 8, 192, 12, 4},
    {"xcit_small_12_p8_224", 8, 384, 12, 8},         {"xcit_small_12_p8_384", 8, 384, 12, 8},
    {"xcit_tiny_24_p8_224", 8, 192, 24, 4},          {"xcit_tiny_24_p8_384", 8, 192, 24, 4},
    {"xcit_small_24_p8_224", 8, 384, 24, 8},         {"xcit_small_24_p8_384", 8, 384, 24, 8},
    {"xcit_medium_24_p8_224", 8, 512, 24, 8},        {"xcit_medium_24_p8_384", 8, 512, 24, 8},
    {"xcit_large_24_p8_224", 8, 768, 24, 16},        {"xcit_large_24_p8_384", 8, 768, 24, 16},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family xcit_family{"xcit", names_of(variants), build_variant};

}  // namespace wimm
