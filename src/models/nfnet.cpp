// Normaliser-free networks (timm/models/nfnet.py). Papers: arXiv 2101.08692, 2102.06171.
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 4>;

enum class Stem : uint8_t { quad, conv3, conv7_pool };  // four 3×3; one 3×3; one 7×7 and a pooling
enum class Attention : uint8_t { none, se, eca };

struct Spec {
  Sizes depths, channels;
  Stem stem = Stem::quad;
  int64_t stem_channels = 128;
  int64_t group_size = 0;
  double bottleneck = 0.5;
  double width = 1;
  double num_features = 0;  // of a final convolution; 0: none
  bool reg = false;         // as RegNet: the ratio is of the input's channels, attention amid the block
  bool extra_conv = false;  // a second 3×3
  bool deepmind = false;    // TensorFlow's padding, a learned scale of each block's result
  Activation activation = Activation::gelu;
  Attention attention = Attention::se;
  double se_ratio = 0.5;

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec depth(int64_t times) const {
    Spec spec = *this;
    for (int64_t& count : spec.depths) count *= times;
    return spec;
  }
  constexpr Spec dm() const { return with(&Spec::deepmind, true); }
  constexpr Spec light(double feature_ratio) const {
    return with(&Spec::group_size, 64)
        .with(&Spec::bottleneck, 0.25)
        .with(&Spec::num_features, 1536 * feature_ratio)
        .with(&Spec::activation, Activation::silu)
        .with(&Spec::se_ratio, 0.25);
  }
};

// What makes an activation of a normal variable one of variance 1.
double gamma_of(Activation activation) {
  if (activation == Activation::gelu) return 1.7015043497085571;
  return activation == Activation::relu ? 1.7139588594436646 : 1.7881293296813965;  // silu
}

struct Builder {
  const Spec& spec;

  int64_t scaled(double channels) const { return nn::make_divisible(channels * spec.width); }

  // The activation's gamma, like any other factor of x, is taken into the weights.
  NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t kernel, int64_t stride = 1,
              int64_t groups = 1, double factor = 1, bool activated = true) const {
    const bool same = spec.deepmind && (stride > 1 || kernel % 2 == 0);
    // DeepMind's has no gamma where no activation stands before the convolution.
    const double gamma = spec.deepmind && !activated ? 1 : gamma_of(spec.activation);
    return scope.conv2d(name, x,
                        {.out_channels = channels,
                         .kernel = kernel,
                         .stride = stride,
                         .groups = groups,
                         .padding = same ? nn::tf_same : nn::same_size_padding(kernel, stride),
                         .bias = true,
                         .standardize = 1e-5,
                         .gain = gamma * factor});
  }

  NodeId activate(const Scope& scope, std::string_view name, NodeId x) const {
    return scope.activate(name, x, spec.activation);
  }

  NodeId stem(Network& network, const Scope& scope, NodeId x) const {
    const int64_t channels = scaled(static_cast<double>(spec.stem_channels));
    if (spec.stem != Stem::quad) {
      const bool pool = spec.stem == Stem::conv7_pool;
      x = conv(scope, "conv", x, channels, pool ? 7 : 3, 2, 1, 1, false);
      network.add_level(x, 2, "stem.conv");
      return pool ? scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)}) : x;
    }
    x = conv(scope, "conv1", x, channels / 8, 3, 2, 1, 1, false);
    x = conv(scope, "conv2", activate(scope, "act2", x), channels / 4, 3);
    x = conv(scope, "conv3", activate(scope, "act3", x), channels / 2, 3);
    network.add_level(x, 2, "stem.conv3");
    return conv(scope, "conv4", activate(scope, "act4", x), channels, 3, 2);
  }

  // Channel attention, its result twice as large, and multiplied by `factor`.
  NodeId attention(const Scope& scope, std::string_view name, NodeId x, double factor) const {
    const auto gain = static_cast<float>(2 * factor);
    if (spec.attention == Attention::eca)
      return nn::efficient_channel_attention(scope[name], x, nn::eca_kernel(scope.channels(x)), gain);
    const double reduced = static_cast<double>(scope.channels(x)) * spec.se_ratio;
    return nn::squeeze_excite(scope[name], x, {.reduced_channels = nn::make_divisible(reduced, 8, 0, 0), .gain = gain});
  }

  // `beta` normalises x, whose variance grows from block to block.
  NodeId block(const Scope& scope, NodeId x, int64_t channels, int64_t stride, double beta, double bottleneck) const {
    constexpr double alpha = 0.2;
    const int64_t in = scope.channels(x);
    int64_t mid = nn::make_divisible(static_cast<double>(spec.reg ? in : channels) * bottleneck);
    const int64_t groups = spec.group_size > 0 ? mid / spec.group_size : 1;
    if (spec.group_size > 0 && spec.group_size % 8 == 0) mid = spec.group_size * groups;

    ParameterId skip_gain = no_id;
    if (spec.deepmind) skip_gain = scope.parameter("skipinit_gain", {}, Init::zeros);
    const NodeId active = activate(scope, "act1", x);
    NodeId shortcut = x;
    if (in != channels || stride != 1) {
      const Scope downsample = scope["downsample"];
      shortcut = active;
      if (stride > 1)
        shortcut = downsample.avg_pool(
            "pool", shortcut, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true, .count_include_pad = false});
      shortcut = conv(downsample, "conv", shortcut, channels, 1, 1, 1, beta);
    }
    NodeId y = conv(scope, "conv1", active, mid, 1, 1, 1, beta);
    y = conv(scope, "conv2", activate(scope, "act2", y), mid, 3, stride, groups);
    if (spec.extra_conv) y = conv(scope, "conv2b", activate(scope, "act2b", y), mid, 3, 1, groups);
    const bool attentive = spec.attention != Attention::none;
    if (attentive && spec.reg) y = attention(scope, "attn", y, 1);
    y = conv(scope, "conv3", activate(scope, "act3", y), channels, 1);
    y = attentive && !spec.reg ? attention(scope, "attn_last", y, alpha) : scope.scale(y, alpha);
    if (skip_gain != no_id) y = scope["skipinit_gain"].node(Affine{.weight = skip_gain}, {y}, channels);
    return scope.add(y, shortcut);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(network, root["stem"], network.input);
  double variance = 1;
  int64_t reduction = spec.stem == Stem::conv3 ? 2 : 4;
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    const int64_t stride = s > 0 || reduction == 2 ? 2 : 1;
    reduction *= stride;
    for (int64_t b = 0; b < spec.depths[s]; ++b) {
      x = builder.block(stage[b], x, builder.scaled(static_cast<double>(spec.channels[s])), b == 0 ? stride : 1,
                        1 / std::sqrt(variance), spec.reg && s == 0 && b == 0 ? 1 : spec.bottleneck);
      if (b == 0) variance = 1;
      variance += 0.2 * 0.2;
    }
    if (s + 1 < spec.depths.size() || spec.num_features == 0) network.add_level(x, reduction, stage.path());
  }
  if (spec.num_features > 0) {
    x = builder.conv(root, "final_conv", x, builder.scaled(spec.num_features), 1, 1, 1, 1, false);
    network.add_level(x, reduction, "final_conv");
  }
  // Its gamma, which nothing behind takes up, is its own in DeepMind's.
  x = builder.activate(root, "final_act", x);
  if (spec.deepmind) x = root["final_act"].scale(x, static_cast<float>(gamma_of(spec.activation)));
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr Spec f0{.depths = {1, 2, 6, 3},
                  .channels = {256, 512, 1536, 1536},
                  .group_size = 128,
                  .num_features = 3072,
                  .extra_conv = true};

constexpr Spec regnet(const Sizes& depths, const Sizes& channels = {48, 104, 208, 440}) {
  return {.depths = depths,
          .channels = channels,
          .stem = Stem::conv3,
          .stem_channels = channels[0],
          .group_size = 8,
          .bottleneck = 2.25,
          .width = 0.75,
          .num_features = static_cast<double>(1280 * channels[3] / 440),
          .reg = true,
          .activation = Activation::silu};
}

constexpr Spec resnet(const Sizes& depths, Attention attention = Attention::none) {
  return {.depths = depths,
          .channels = {256, 512, 1024, 2048},
          .stem = Stem::conv7_pool,
          .stem_channels = 64,
          .bottleneck = 0.25,
          .activation = Activation::relu,
          .attention = attention,
          .se_ratio = 1.0 / 16};
}

constexpr Spec eca(const Spec& spec) { return spec.with(&Spec::attention, Attention::eca); }
constexpr Sizes r26{2, 2, 2, 2}, r50{3, 4, 6, 3}, r101{3, 4, 23, 3};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"dm_nfnet_f0", f0.dm()},
    {"dm_nfnet_f1", f0.dm().depth(2)},
    {"dm_nfnet_f2", f0.dm().depth(3)},
    {"dm_nfnet_f3", f0.dm().depth(4)},
    {"dm_nfnet_f4", f0.dm().depth(5)},
    {"dm_nfnet_f5", f0.dm().depth(6)},
    {"dm_nfnet_f6", f0.dm().depth(7)},
    {"nfnet_f0", f0},
    {"nfnet_f1", f0.depth(2)},
    {"nfnet_f2", f0.depth(3)},
    {"nfnet_f3", f0.depth(4)},
    {"nfnet_f4", f0.depth(5)},
    {"nfnet_f5", f0.depth(6)},
    {"nfnet_f6", f0.depth(7)},
    {"nfnet_f7", f0.depth(8)},
    {"nfnet_l0", f0.light(1.5)},
    {"eca_nfnet_l0", eca(f0.light(1.5))},
    {"eca_nfnet_l1", eca(f0.light(2).depth(2))},
    {"eca_nfnet_l2", eca(f0.light(2).depth(3))},
    {"eca_nfnet_l3", eca(f0.light(2).depth(4))},
    {"nf_regnet_b0", regnet({1, 3, 6, 6})},
    {"nf_regnet_b1", regnet({2, 4, 7, 7})},
    {"nf_regnet_b2", regnet({2, 4, 8, 8}, {56, 112, 232, 488})},
    {"nf_regnet_b3", regnet({2, 5, 9, 9}, {56, 128, 248, 528})},
    {"nf_regnet_b4", regnet({2, 6, 11, 11}, {64, 144, 288, 616})},
    {"nf_regnet_b5", regnet({3, 7, 14, 14}, {80, 168, 336, 704})},
    {"nf_resnet26", resnet(r26)},
    {"nf_resnet50", resnet(r50)},
    {"nf_resnet101", resnet(r101)},
    {"nf_seresnet26", resnet(r26, Attention::se)},
    {"nf_seresnet50", resnet(r50, Attention::se)},
    {"nf_seresnet101", resnet(r101, Attention::se)},
    {"nf_ecaresnet26", resnet(r26, Attention::eca)},
    {"nf_ecaresnet50", resnet(r50, Attention::eca)},
    {"nf_ecaresnet101", resnet(r101, Attention::eca)},
    {"test_nfnet", f0.light(0.125)
                       .with(&Spec::depths, Sizes{1, 1, 1, 1})
                       .with(&Spec::channels, Sizes{32, 64, 96, 128})
                       .with(&Spec::group_size, 8)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family nfnet_family{"nfnet", names_of(variants), build_variant};

}  // namespace wimm
