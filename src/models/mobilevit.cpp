// MobileViT and its second version (timm/models/mobilevit.py). Papers: arXiv 2110.02178, 2206.02680.
#include <string>

#include "models/byob_builder.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using namespace byob;
using nn::Scope;

constexpr Size2d patch{2, 2};
constexpr nn::NormAct silu{.activation = Activation::silu};

NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t kernel, int64_t groups = 1,
            const nn::NormAct& norm_act = silu) {
  return nn::conv_norm_act(
      scope, name, x,
      {.out_channels = channels, .kernel = kernel, .groups = groups, .padding = nn::same_size_padding(kernel)},
      norm_act);
}

// The image stretched to whole patches.
NodeId stretch(const Scope& scope, NodeId x, Interpolate::Mode mode) {
  return scope["stretch"].node(Interpolate{.mode = mode, .multiple_of = patch}, {x}, scope.channels(x));
}

// A transformer on the pixels at the same place of all patches, its result beside the block's input.
NodeId mobilevit_block(const Scope& scope, NodeId x, const Stage& stage) {
  constexpr nn::TokenNorm norm{.eps = 1e-5};
  const int64_t channels = scope.channels(x), width = stage.transformer_channels;
  NodeId y = scope.conv2d("conv_1x1", conv(scope, "conv_kxk", x, channels, 3), {.out_channels = width});
  NodeId tokens = scope["patches"].node(ToPatches{patch}, {stretch(scope, y, Interpolate::Mode::bilinear)}, width);
  for (int64_t i = 0; i < stage.transformer_depth; ++i) {
    const Scope block = scope["transformer"][i];
    const NodeId attended =
        nn::self_attention(block["attn"], nn::token_norm(block, "norm1", tokens, norm), {.heads = 4, .qkv_bias = true});
    tokens = block.add(attended, tokens);
    const NodeId mixed = nn::mlp(block["mlp"], nn::token_norm(block, "norm2", tokens, norm),
                                 {.hidden = 2 * width, .activation = Activation::silu});
    tokens = block.add(mixed, tokens);
  }
  tokens = nn::token_norm(scope, "norm", tokens, norm);
  const NodeId image = scope["image"].node(FromPatches{patch}, {tokens, y}, width);
  y = scope["shrink"].node(Interpolate{.mode = Interpolate::Mode::bilinear}, {image, y}, width);
  y = conv(scope, "conv_proj", y, channels, 1);
  return conv(scope, "conv_fusion", scope.concat({x, y}), channels, 3);
}

// Separable self-attention between those pixels.
NodeId mobilevitv2_block(const Scope& scope, NodeId x, const Stage& stage) {
  const int64_t channels = scope.channels(x), width = nn::make_divisible(static_cast<double>(channels) / 2);
  x = conv(scope, "conv_kxk", stretch(scope, x, Interpolate::Mode::bilinear_aligned), channels, 3, channels);
  x = scope.conv2d("conv_1x1", x, {.out_channels = width});
  for (int64_t i = 0; i < stage.transformer_depth; ++i) {
    const Scope block = scope["transformer"][i], attn = block["attn"];
    const NodeId qkv =
        attn.conv2d("qkv_proj", block.group_norm("norm1", x, 1), {.out_channels = 1 + 2 * width, .bias = true});
    const NodeId attended = attn.node(SeparableAttention{patch}, {qkv}, width);
    x = block.add(attn.conv2d("out_proj", attended, {.out_channels = width, .bias = true}), x);
    const NodeId mixed = nn::mlp(block["mlp"], block.group_norm("norm2", x, 1),
                                 {.hidden = 2 * width, .activation = Activation::silu, .conv = true});
    x = block.add(mixed, x);
  }
  x = scope.group_norm("norm", x, 1);
  return conv(scope, "conv_proj", x, channels, 1, 1, {.activation = Activation::identity});
}

constexpr Stage inverted(int64_t depth, double channels, int64_t stride, double expansion,
                         int64_t transformer_depth = 0, int64_t transformer_channels = 0) {
  return {BlockType::bottleneck, depth, channels, stride, 1, expansion, transformer_depth, transformer_channels};
}

constexpr Spec inverted_residuals(const Stages& stages, int64_t stem_channels) {
  return {.stages = stages,
          .stem_channels = stem_channels,
          .activation = Activation::silu,
          .shortcut = Shortcut::none,
          .bottle_in = true,
          .linear_out = true};
}

struct Width {
  double channels;
  int64_t transformer_channels;
};

constexpr Spec v1(double expansion, std::array<double, 2> first, std::array<Width, 3> last, int64_t num_features) {
  const auto& [a, b, c] = last;
  Spec spec = inverted_residuals({inverted(1, first[0], 1, expansion), inverted(3, first[1], 2, expansion),
                                  inverted(1, a.channels, 2, expansion, 2, a.transformer_channels),
                                  inverted(1, b.channels, 2, expansion, 4, b.transformer_channels),
                                  inverted(1, c.channels, 2, expansion, 3, c.transformer_channels)},
                                 16);
  spec.num_features = num_features;
  spec.last_block = mobilevit_block;
  return spec;
}

constexpr Spec v2(double width) {
  Spec spec = inverted_residuals(
      {inverted(1, 64 * width, 1, 2), inverted(2, 128 * width, 2, 2), inverted(1, 256 * width, 2, 2, 2),
       inverted(1, 384 * width, 2, 2, 4), inverted(1, 512 * width, 2, 2, 3)},
      static_cast<int64_t>(32 * width));
  spec.last_block = mobilevitv2_block;
  return spec;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"mobilevit_xxs", v1(2, {16, 24}, {{{48, 64}, {64, 80}, {80, 96}}}, 320)},
    {"mobilevit_xs", v1(4, {32, 48}, {{{64, 96}, {80, 120}, {96, 144}}}, 384)},
    {"mobilevit_s", v1(4, {32, 64}, {{{96, 144}, {128, 192}, {160, 240}}}, 640)},
    {"mobilevitv2_050", v2(0.5)},
    {"mobilevitv2_075", v2(0.75)},
    {"mobilevitv2_100", v2(1)},
    {"mobilevitv2_125", v2(1.25)},
    {"mobilevitv2_150", v2(1.5)},
    {"mobilevitv2_175", v2(1.75)},
    {"mobilevitv2_200", v2(2)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family mobilevit_family{"mobilevit", names_of(variants), build_variant};

}  // namespace wimm
