// RepViT (timm/models/repvit.py). Paper: arXiv 2307.09283.
#include <array>
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

struct Spec {
  std::array<int64_t, 4> channels, depths;
  bool legacy = false;  // the first release's mixer of tokens
};

// A convolution "c" and its norm "bn".
NodeId conv_norm(const Scope& scope, NodeId x, const nn::ConvOptions& options) {
  return scope.batch_norm("bn", scope.conv2d("c", x, options));
}

struct Builder {
  const Spec& spec;

  // 3×3 and 1×1, depthwise, and the input, added up.
  NodeId mix_tokens(const Scope& scope, NodeId x) const {
    const int64_t c = scope.channels(x);
    const NodeId large =
        conv_norm(scope["conv"], x, {.out_channels = c, .kernel = 3, .groups = c, .padding = nn::padding(1)});
    const nn::ConvOptions pointwise{.out_channels = c, .groups = c, .bias = !spec.legacy};
    const NodeId small = spec.legacy ? conv_norm(scope["conv1"], x, pointwise) : scope.conv2d("conv1", x, pointwise);
    x = scope.add(scope.add(large, small), x);
    return spec.legacy ? x : scope.batch_norm("bn", x);
  }

  NodeId mix_channels(const Scope& scope, NodeId x) const {
    NodeId y = conv_norm(scope["conv1"], x, {.out_channels = 2 * scope.channels(x)});
    y = scope.activate("act", y, Activation::gelu);
    return scope.add(conv_norm(scope["conv2"], y, {.out_channels = scope.channels(x)}), x);
  }

  NodeId block(const Scope& scope, NodeId x, bool attentive) const {
    x = mix_tokens(scope["token_mixer"], x);
    if (attentive) {
      const double reduced = static_cast<double>(scope.channels(x)) / 4;
      x = nn::squeeze_excite(scope["se"], x, {.reduced_channels = nn::make_divisible(reduced, 8, 0, 0)});
    }
    return mix_channels(scope["channel_mixer"], x);
  }

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels) const {
    const int64_t c = scope.channels(x);
    x = block(scope["pre_block"], x, false);
    x = conv_norm(scope["spatial_downsample"], x,
                  {.out_channels = c, .kernel = 3, .stride = 2, .groups = c, .padding = nn::padding(1)});
    x = conv_norm(scope["channel_downsample"], x, {.out_channels = channels});
    return mix_channels(scope["ffn"], x);
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    const auto conv = [&](std::string_view name, NodeId value, int64_t channels) {
      return conv_norm(scope[name], value,
                       {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1)});
    };
    x = scope.activate("act1", conv("conv1", x, spec.channels[0] / 2), Activation::gelu);
    return conv("conv2", x, spec.channels[0]);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    if (s > 0) x = builder.downsample(stage["downsample"], x, spec.channels[s]);
    for (int64_t i = 0; i < spec.depths[s]; ++i) x = builder.block(stage["blocks"][i], x, i % 2 == 0);
    network.add_level(x, 4 << s, stage.path());
  }
  const std::string pool(nn::pool_of(options.global_pool, {"avg", ""}));
  nn::distilled_norm_head(network, root["head"], x, pool, options.num_classes, true);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"repvit_m1", {{48, 96, 192, 384}, {2, 2, 14, 2}, true}},
    {"repvit_m2", {{64, 128, 256, 512}, {2, 2, 12, 2}, true}},
    {"repvit_m3", {{64, 128, 256, 512}, {4, 4, 18, 2}, true}},
    {"repvit_m0_9", {{48, 96, 192, 384}, {2, 2, 14, 2}}},
    {"repvit_m1_0", {{56, 112, 224, 448}, {2, 2, 14, 2}}},
    {"repvit_m1_1", {{64, 128, 256, 512}, {2, 2, 12, 2}}},
    {"repvit_m1_5", {{64, 128, 256, 512}, {4, 4, 24, 4}}},
    {"repvit_m2_3", {{80, 160, 320, 640}, {6, 6, 34, 2}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family repvit_family{"repvit", names_of(variants), build_variant};

}  // namespace wimm
