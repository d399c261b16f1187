// Focal modulation networks (timm/models/focalnet.py). Paper: arXiv 2203.11926.
#include <array>
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
  int64_t width;   // channels of the first stage
  int64_t depth;   // blocks of the third
  int64_t levels;  // of context
  int64_t window = 3;
  bool large = false;            // overlapping patches, norms after the branches, layer scale
  bool norms_modulated = false;  // what is modulated, before its projection
};

constexpr double eps = 1e-5;

struct Builder {
  const Variant& variant;
  Scope root;

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    const int64_t kernel = variant.large ? (stride == 4 ? 7 : 3) : stride;
    x = scope.conv2d("proj", x,
                     {.out_channels = channels,
                      .kernel = kernel,
                      .stride = stride,
                      .padding = nn::padding(variant.large ? stride / 2 : 0),
                      .bias = true});
    return scope.layer_norm("norm", x, eps);
  }

  // The value modulated by what surrounds it: contexts of growing windows, and of the whole image, gated and summed.
  NodeId modulation(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x), levels = variant.levels;
    const NodeId all = scope.conv2d("f", x, {.out_channels = 2 * channels + levels + 1, .bias = true});
    const nn::ConvOptions pointwise{.out_channels = channels, .bias = true};
    const Conv2d h = scope.declare_conv2d("h", channels, pointwise),
                 proj = scope.declare_conv2d("proj", channels, pointwise);
    std::vector<NodeId> inputs{all};
    NodeId context = scope.slice(all, channels, channels);
    for (int64_t i = 0; i < levels; ++i) {
      const Scope layer = scope["focal_layers"][i];
      const int64_t kernel = 2 * i + variant.window;
      context = layer.conv2d(
          "0", context,
          {.out_channels = channels, .kernel = kernel, .groups = channels, .padding = nn::padding(kernel / 2)});
      context = layer.activate("act", context, Activation::gelu);
      inputs.push_back(context);
    }
    inputs.push_back(scope.activate("act", scope.global_pool("pool", context, PoolKind::avg, true), Activation::gelu));
    const NodeId sum = scope["gate"].node(MixLevels{2 * channels}, std::move(inputs), channels);
    NodeId y = scope.mul(scope.slice(all, 0, channels), scope["h"].node(h, {sum}, channels));
    if (variant.norms_modulated) y = scope.layer_norm("norm", y, eps);
    return scope["proj"].node(proj, {y}, channels);
  }

  NodeId block(const Scope& scope, NodeId x) const {
    const auto before = [&](std::string_view name, NodeId value) {
      return variant.large ? value : scope.layer_norm(name, value, eps);
    };
    const auto after = [&](std::string_view norm, std::string_view scale, NodeId value) {
      return variant.large ? nn::layer_scale(scope, scale, scope.layer_norm(norm, value, eps)) : value;
    };
    x = scope.add(x, after("norm1_post", "ls1", modulation(scope["modulation"], before("norm1", x))));
    const nn::Mlp mlp{.hidden = 4 * scope.channels(x), .conv = true};
    return scope.add(x, after("norm2_post", "ls2", nn::mlp(scope["mlp"], before("norm2", x), mlp)));
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  network.input = root.input(options.in_chans);
  NodeId x = builder.downsample(root["stem"], network.input, variant.width, 4);
  for (int64_t i = 0; i < 4; ++i) {
    const Scope scope = root["layers"][i];
    if (i > 0) x = builder.downsample(scope["downsample"], x, variant.width << i, 2);
    for (int64_t k = 0; k < (i == 2 ? variant.depth : 2); ++k) x = builder.block(scope["blocks"][k], x);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::classifier_head(network, root["head"], root.layer_norm("norm", x, eps), options.global_pool.value_or("avg"),
                      options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"focalnet_tiny_srf", 96, 6, 2},
    {"focalnet_small_srf", 96, 18, 2},
    {"focalnet_base_srf", 128, 18, 2},
    {"focalnet_tiny_lrf", 96, 6, 3},
    {"focalnet_small_lrf", 96, 18, 3},
    {"focalnet_base_lrf", 128, 18, 3},
    {"focalnet_large_fl3", 192, 18, 3, 5, true},
    {"focalnet_large_fl4", 192, 18, 4, 3, true},
    {"focalnet_xlarge_fl3", 256, 18, 3, 5, true},
    {"focalnet_xlarge_fl4", 256, 18, 4, 3, true},
    {"focalnet_huge_fl3", 352, 18, 3, 3, true, true},
    {"focalnet_huge_fl4", 352, 18, 4, 3, true, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family focalnet_family{"focalnet", names_of(variants), build_variant};

}  // namespace wimm
