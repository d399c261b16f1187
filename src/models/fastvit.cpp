// FastViT and the image towers of MobileCLIP (timm/models/fastvit.py). Papers: arXiv 2303.14189, 2311.17049.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 5>;  // of as many stages as have blocks

struct Spec {
  Sizes depths, channels;
  int64_t expansion = 4;
  int64_t attention_from = 5;   // the stage from which on blocks attend, instead of convolving
  bool squeeze = false;         // in the downsampling of the third and fourth stages
  bool active_patches = false;  // an activation behind its large convolution
  bool layer_norm = false;      // before attention, else batch norm
  bool stem_scale = true;       // a 1×1 branch in the stem
};

NodeId conv_norm(const Scope& scope, std::string_view name, NodeId x, nn::ConvOptions options) {
  options.padding = nn::same_size_padding(options.kernel, options.stride);
  return nn::conv_norm_act(scope, name, x, options, {.activation = Activation::identity});
}

// x · gamma, of shape [C, 1, 1].
NodeId scale_channels(const Scope& scope, std::string_view name, NodeId x) {
  const ParameterId gamma = scope[name].parameter("gamma", {scope.channels(x), 1, 1}, Init::layer_scale);
  return scope[name].node(Affine{.weight = gamma}, {x}, scope.channels(x));
}

// Declared before the convolutions it follows.
struct SqueezeExcite {
  Scope scope;
  Conv2d reduce, expand;

  SqueezeExcite(const Scope& scope_, int64_t channels, double ratio, int64_t divisor) : scope(scope_) {
    const int64_t reduced = nn::make_divisible(static_cast<double>(channels) * ratio, divisor, 0, 0);
    reduce = scope.declare_conv2d("fc1", channels, {.out_channels = reduced, .bias = true});
    expand = scope.declare_conv2d("fc2", reduced, {.out_channels = channels, .bias = true});
  }

  NodeId build(NodeId x) const {
    NodeId gate = scope["fc1"].node(reduce, {scope.global_pool("pool", x, PoolKind::avg, true)}, reduce.out_channels);
    gate = scope["fc2"].node(expand, {scope.activate("act", gate, Activation::relu)}, expand.out_channels);
    return scope.mul(x, scope.activate("gate", gate, Activation::sigmoid));
  }
};

// MobileOne's block: the input, where the shape stays, a convolution and a 1×1 convolution, each with a norm, added up.
struct Branches {
  nn::ConvOptions conv;
  bool convolve = true, scale = true;
};

NodeId add_branches(const Scope& scope, NodeId x, const Branches& options) {
  NodeId sum = no_id;
  const auto add = [&](NodeId value) { sum = sum == no_id ? value : scope.add(sum, value); };
  const auto& conv = options.conv;
  std::optional<Affine> norm;
  if (conv.stride == 1 && scope.channels(x) == conv.out_channels)
    norm = scope.declare_batch_norm("identity", conv.out_channels);
  if (options.convolve) add(conv_norm(scope["conv_kxk"], "0", x, conv));
  if (options.scale && conv.kernel.height > 1) {
    nn::ConvOptions pointwise = conv;
    pointwise.kernel = 1;
    add(conv_norm(scope, "conv_scale", x, pointwise));
  }
  if (norm) add(scope["identity"].node(*norm, {x}, conv.out_channels));
  return sum;
}

NodeId mobile_one(const Scope& scope, NodeId x, const nn::ConvOptions& conv, bool scale = true, bool squeeze = false) {
  std::optional<SqueezeExcite> attention;
  if (squeeze) attention.emplace(scope["se"], conv.out_channels, 1.0 / 16, 1);
  x = add_branches(scope, x, {.conv = conv, .scale = scale});
  return scope.activate("act", attention ? attention->build(x) : x, Activation::gelu);
}

NodeId stem(const Scope& scope, NodeId x, const Spec& spec) {
  const int64_t c = spec.channels[0];
  x = mobile_one(scope["0"], x, {.out_channels = c, .kernel = 3, .stride = 2}, spec.stem_scale);
  x = mobile_one(scope["1"], x, {.out_channels = c, .kernel = 3, .stride = 2, .groups = c}, spec.stem_scale);
  return mobile_one(scope["2"], x, {.out_channels = c}, spec.stem_scale);
}

// Patches of 7×7 pixels, overlapping, twice the channels.
NodeId downsample(const Scope& scope, NodeId x, int64_t channels, bool squeeze, bool active) {
  const Scope large = scope["0"];
  nn::ConvOptions conv{.out_channels = channels, .kernel = 7, .stride = 2, .groups = scope.channels(x)};
  const NodeId wide = conv_norm(large, "large_conv", x, conv);
  conv.kernel = 3;
  x = large.add(wide, conv_norm(large, "small_conv", x, conv));
  if (squeeze) x = SqueezeExcite(large["se"], channels, 0.25, 8).build(x);
  if (active) x = large.activate("act", x, Activation::gelu);
  return mobile_one(scope["1"], x, {.out_channels = channels});
}

// What a depthwise convolution makes of the input less the input itself, a little of it, added to the input. One
// convolution does it all.
NodeId mix_tokens(const Scope& scope, NodeId x) {
  const int64_t c = scope.channels(x);
  const nn::ConvOptions conv{.out_channels = c, .kernel = 3, .groups = c};
  // A convolution without weights, so that its norm and sign are folded into it.
  const NodeId itself = scope["norm"].node(Conv2d{.out_channels = c, .groups = c}, {x}, c);
  const NodeId normed = scope["norm"].scale(scope["norm"].batch_norm("identity", itself), -1);
  const NodeId mixed = add_branches(scope["mixer"], x, {.conv = conv});
  return scope.add(scale_channels(scope, "layer_scale", scope.add(mixed, normed)), x);
}

NodeId attend(const Scope& scope, NodeId x) {
  const NodeId tokens = scope["tokens"].node(ToTokens{}, {x}, scope.channels(x));
  const NodeId y = nn::self_attention(scope, tokens, {.heads = scope.channels(x) / 32});
  return scope["image"].node(ToImage{}, {y, x}, scope.channels(x));
}

NodeId mix_channels(const Scope& scope, NodeId x, int64_t expansion) {
  const int64_t c = scope.channels(x);
  x = conv_norm(scope, "conv", x, {.out_channels = c, .kernel = 7, .groups = c});
  return nn::mlp(scope, x, {.hidden = expansion * c, .conv = true});
}

NodeId block(const Scope& scope, NodeId x, const Spec& spec, bool attentive) {
  if (!attentive) {
    x = mix_tokens(scope["token_mixer"], x);
    return scope.add(scale_channels(scope, "layer_scale", mix_channels(scope["mlp"], x, spec.expansion)), x);
  }
  const NodeId normed = spec.layer_norm ? scope.layer_norm("norm", x, 1e-5) : scope.batch_norm("norm", x);
  x = scope.add(scale_channels(scope, "layer_scale_1", attend(scope["token_mixer"], normed)), x);
  return scope.add(scale_channels(scope, "layer_scale_2", mix_channels(scope["mlp"], x, spec.expansion)), x);
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = stem(root["stem"], network.input, spec);
  for (int64_t s = 0; s < 5 && spec.depths[static_cast<size_t>(s)] > 0; ++s) {
    const Scope stage = root["stages"][s];
    const auto index = static_cast<size_t>(s);
    const int64_t channels = spec.channels[index];
    if (s > 0) x = downsample(stage["downsample"]["proj"], x, channels, spec.squeeze && s > 1, spec.active_patches);
    const bool attentive = s >= spec.attention_from;
    if (attentive) {
      const Scope position = stage["pos_emb"];
      x = position.add(
          position.conv2d(
              "pos_enc", x,
              {.out_channels = channels, .kernel = 7, .groups = channels, .padding = nn::padding(3), .bias = true}),
          x);
    }
    for (int64_t i = 0; i < spec.depths[index]; ++i) x = block(stage["blocks"][i], x, spec, attentive);
    network.add_level(x, 4 << s, stage.path());
  }
  const int64_t c = root.channels(x);
  x = mobile_one(root["final_conv"], x, {.out_channels = 2 * c, .kernel = 3, .groups = c}, true, true);
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr Spec sa(const Sizes& depths, const Sizes& channels = {64, 128, 256, 512}) {
  return {.depths = depths, .channels = channels, .attention_from = 3};
}

constexpr Spec mci(const Sizes& depths, const Sizes& channels = {64, 128, 256, 512}) {
  return {.depths = depths,
          .channels = channels,
          .expansion = 3,
          .attention_from = 3,
          .squeeze = true,
          .active_patches = true};
}

constexpr Spec large_mci(const Sizes& depths, const Sizes& channels) {
  return {.depths = depths,
          .channels = channels,
          .attention_from = 3,
          .active_patches = true,
          .layer_norm = true,
          .stem_scale = false};
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"fastvit_t8", {.depths = {2, 2, 4, 2}, .channels = {48, 96, 192, 384}, .expansion = 3}},
    {"fastvit_t12", {.depths = {2, 2, 6, 2}, .channels = {64, 128, 256, 512}, .expansion = 3}},
    {"fastvit_s12", {.depths = {2, 2, 6, 2}, .channels = {64, 128, 256, 512}}},
    {"fastvit_sa12", sa({2, 2, 6, 2})},
    {"fastvit_sa24", sa({4, 4, 12, 4})},
    {"fastvit_sa36", sa({6, 6, 18, 6})},
    {"fastvit_ma36", sa({6, 6, 18, 6}, {76, 152, 304, 608})},
    {"fastvit_mci0", mci({2, 6, 10, 2})},
    {"fastvit_mci1", mci({4, 12, 20, 4})},
    {"fastvit_mci2", mci({4, 12, 24, 4}, {80, 160, 320, 640})},
    {"fastvit_mci3", large_mci({2, 12, 24, 4, 2}, {96, 192, 384, 768, 1536})},
    {"fastvit_mci4", large_mci({2, 12, 24, 4, 4}, {128, 256, 512, 1024, 2048})},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family fastvit_family{"fastvit", names_of(variants), build_variant};

}  // namespace wimm
