// ConvNeXt and ConvNeXt V2 (timm/models/convnext.py). Papers: arXiv 2201.03545, 2301.00808.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope, nn::TokenNorm;
using Sizes = std::array<int64_t, 4>;

// One convolution of 4×4 patches, or two of 3×3: the first as wide as the second, half as wide, or with an activation.
enum class Stem : uint8_t { patch, overlap, overlap_tiered, overlap_act };

struct Spec {
  Sizes depths, channels;
  Sizes kernels{7, 7, 7, 7};
  Stem stem = Stem::patch;
  bool conv_mlp = false;
  bool response_norm = false;  // V2's, in place of the layer scale
  bool norm_first = false;     // before the pooling
  int64_t head_hidden = 0;
  Activation activation = Activation::gelu;
  TokenNorm norm{};

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec conv() const { return with(&Spec::conv_mlp, true); }
  constexpr Spec ols(Stem kind) const { return with(&Spec::stem, kind); }
  constexpr Spec v2() const { return with(&Spec::response_norm, true); }
  constexpr Spec eps(double value) const { return with(&Spec::norm, TokenNorm{.eps = value}); }
  constexpr Spec normed(TokenNorm::Kind kind) const { return with(&Spec::norm, TokenNorm{.kind = kind}); }
};

struct Builder {
  const Spec& spec;

  NodeId stem(const Scope& scope, NodeId x) const {
    const int64_t channels = spec.channels[0];
    if (spec.stem == Stem::patch) {
      x = scope.conv2d("0", x, {.out_channels = channels, .kernel = 4, .stride = 4, .bias = true});
      return nn::token_norm(scope, "1", x, spec.norm);
    }
    const bool active = spec.stem == Stem::overlap_act;
    const int64_t first = spec.stem == Stem::overlap_tiered ? nn::make_divisible(channels / 2) : channels;
    const auto conv = [&](std::string_view name, NodeId value, int64_t out) {
      return scope.conv2d(name, value,
                          {.out_channels = out, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
    };
    x = conv("0", x, first);
    if (active) x = scope.activate("1", x, spec.activation);
    return nn::token_norm(scope, active ? "3" : "2", conv(active ? "2" : "1", x, channels), spec.norm);
  }

  NodeId block(const Scope& scope, NodeId x, int64_t kernel) const {
    const int64_t channels = scope.channels(x);
    ParameterId gamma = no_id;
    if (!spec.response_norm) gamma = scope.parameter("gamma", {channels}, Init::layer_scale);
    NodeId y = scope.conv2d("conv_dw", x,
                            {.out_channels = channels,
                             .kernel = kernel,
                             .groups = channels,
                             .padding = nn::same_size_padding(kernel),
                             .bias = true});
    y = nn::token_norm(scope, "norm", y, spec.norm);
    y = nn::mlp(scope["mlp"], y,
                {.hidden = 4 * channels,
                 .activation = spec.activation,
                 .response_norm = spec.response_norm,
                 .conv = spec.conv_mlp});
    if (gamma != no_id) y = scope["gamma"].node(Affine{.weight = gamma}, {y}, channels);
    return scope.add(y, x);
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const int64_t stride = index > 0 ? 2 : 1;
    if (index > 0) {
      const Scope downsample = scope["downsample"];
      x = nn::token_norm(downsample, "0", x, spec.norm);
      x = downsample.conv2d("1", x,
                            {.out_channels = spec.channels[index], .kernel = stride, .stride = stride, .bias = true});
    }
    for (int64_t i = 0; i < spec.depths[index]; ++i) x = block(scope["blocks"][i], x, spec.kernels[index]);
    return x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t i = 0; i < spec.depths.size(); ++i) {
    const Scope stage = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(stage, x, i);
    network.add_level(x, 4 << i, stage.path());
  }
  const std::string pool = options.global_pool.value_or("avg");
  if (spec.norm_first) {
    nn::classifier_head(network, root["head"], nn::token_norm(root, "norm_pre", x, spec.norm), pool,
                        options.num_classes);
  } else {
    nn::norm_mlp_classifier_head(network, root["head"], x, pool, options.num_classes,
                                 {.norm = spec.norm, .hidden = spec.head_hidden});
  }
  return network;
}

constexpr Spec zepto{{2, 2, 4, 2}, {32, 64, 128, 256}}, atto{{2, 2, 6, 2}, {40, 80, 160, 320}},
    femto{{2, 2, 6, 2}, {48, 96, 192, 384}}, pico{{2, 2, 6, 2}, {64, 128, 256, 512}},
    nano{{2, 2, 8, 2}, {80, 160, 320, 640}}, tiny{{3, 3, 9, 3}, {96, 192, 384, 768}},
    small{{3, 3, 27, 3}, {96, 192, 384, 768}}, base{{3, 3, 27, 3}, {128, 256, 512, 1024}},
    large{{3, 3, 27, 3}, {192, 384, 768, 1536}}, xlarge{{3, 3, 27, 3}, {256, 512, 1024, 2048}},
    xxlarge{{3, 4, 30, 3}, {384, 768, 1536, 3072}}, huge{{3, 3, 27, 3}, {352, 704, 1408, 2816}},
    test{{1, 2, 4, 2}, {24, 32, 48, 64}}, test_flat{{1, 1, 1, 1}, {32, 64, 96, 128}};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"convnext_zepto_rms", zepto.conv().normed(TokenNorm::Kind::simple)},
    {"convnext_zepto_rms_ols", zepto.conv().normed(TokenNorm::Kind::simple).ols(Stem::overlap_act)},
    {"convnext_atto", atto.conv()},
    {"convnext_atto_ols", atto.conv().ols(Stem::overlap_tiered)},
    {"convnext_atto_rms", atto.conv().normed(TokenNorm::Kind::rms)},
    {"convnext_femto", femto.conv()},
    {"convnext_femto_ols", femto.conv().ols(Stem::overlap_tiered)},
    {"convnext_pico", pico.conv()},
    {"convnext_pico_ols", pico.conv().ols(Stem::overlap_tiered)},
    {"convnext_nano", nano.conv()},
    {"convnext_nano_ols", nano.conv().ols(Stem::overlap)},
    {"convnext_tiny_hnf", tiny.conv().with(&Spec::norm_first, true)},
    {"convnext_tiny", tiny},
    {"convnext_small", small},
    {"convnext_base", base},
    {"convnext_large", large},
    {"convnext_large_mlp", large.with(&Spec::head_hidden, 1536)},
    {"convnext_xlarge", xlarge},
    {"convnext_xxlarge", xxlarge.eps(1e-5)},
    {"convnextv2_atto", atto.conv().v2()},
    {"convnextv2_femto", femto.conv().v2()},
    {"convnextv2_pico", pico.conv().v2()},
    {"convnextv2_nano", nano.conv().v2()},
    {"convnextv2_tiny", tiny.v2()},
    {"convnextv2_small", small.v2()},
    {"convnextv2_base", base.v2()},
    {"convnextv2_large", large.v2()},
    {"convnextv2_huge", huge.v2()},
    {"test_convnext", test.eps(1e-5).with(&Spec::activation, Activation::gelu_tanh)},
    {"test_convnext2", test_flat.eps(1e-5).with(&Spec::activation, Activation::gelu_tanh)},
    {"test_convnext3",
     test_flat.eps(1e-5).with(&Spec::activation, Activation::silu).with(&Spec::kernels, Sizes{7, 5, 5, 3})},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family convnext_family{"convnext", names_of(variants), build_variant};

}  // namespace wimm
