// DenseNet-BC (timm/models/densenet.py). Paper: arXiv 1608.06993; "d": ResNet-D's stem, 1812.01187; blur pooling
// 1904.11486; in-place activated batch norm 1712.02616.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/blur_pool.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  int64_t growth;                 // channels that each layer adds
  std::array<int64_t, 4> depths;  // layers in each dense block
  bool deep_stem = false;         // three 3×3 convolutions instead of one 7×7
  bool blur = false;              // the stem's pooling is anti-aliased
  nn::NormAct norm_act{};
};

struct Builder {
  const Spec& spec;
  Scope features;

  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    return nn::norm_act(scope, name, x, spec.norm_act);
  }

  NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1) const {
    return scope.conv2d(name, x, {.out_channels = channels, .kernel = 3, .stride = stride, .padding = nn::padding(1)});
  }

  // The stem's convolutions; the last norm is the first level of feature_info.
  NodeId stem(Network& network) const {
    const int64_t channels = 2 * spec.growth;
    NodeId x = network.input;
    if (spec.deep_stem) {
      x = norm(features, "norm0", conv3x3(features, "conv0", x, spec.growth, 2));
      x = norm(features, "norm1", conv3x3(features, "conv1", x, spec.growth));
      x = norm(features, "norm2", conv3x3(features, "conv2", x, channels));
    } else {
      x = features.conv2d("conv0", x, {.out_channels = channels, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
      x = norm(features, "norm0", x);
    }
    network.feature_info.push_back({x, channels, 2, features[spec.deep_stem ? "norm2" : "norm0"].path()});
    return x;
  }

  NodeId stem_pool(NodeId x) const {
    const int64_t stride = spec.blur ? 1 : 2;
    x = features.max_pool("pool0", x, {.kernel = {3, 3}, .stride = {stride, stride}, .padding = nn::padding(1)});
    return spec.blur ? nn::blur_pool(features["pool0"]["1"], x) : x;
  }

  // Each layer's result joins what it was computed from.
  NodeId dense_block(const Scope& scope, NodeId x, int64_t layers) const {
    for (int64_t i = 1; i <= layers; ++i) {
      const Scope layer = scope["denselayer" + std::to_string(i)];
      NodeId y = layer.conv2d("conv1", norm(layer, "norm1", x), {.out_channels = 4 * spec.growth});
      y = conv3x3(layer, "conv2", norm(layer, "norm2", y), spec.growth);
      x = layer.concat({x, y});
    }
    return x;
  }

  // Halves channels and size. timm pools after the 1×1 convolution; the two commute, and this is a quarter of the work.
  NodeId transition(const Scope& scope, NodeId x) const {
    const NodeId pooled = scope.avg_pool("pool", norm(scope, "norm", x), {.kernel = {2, 2}, .stride = {2, 2}});
    return scope.conv2d("conv", pooled, {.out_channels = scope.channels(x) / 2});
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const Builder builder{spec, root["features"]};

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem_pool(builder.stem(network));
  for (size_t i = 0; i < spec.depths.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const Scope block = builder.features["denseblock" + number];
    x = builder.dense_block(block, x, spec.depths[i]);
    if (i + 1 == spec.depths.size()) break;
    network.add_level(x, 4 << i, block.path());
    x = builder.transition(builder.features["transition" + number], x);
  }
  x = builder.norm(builder.features, "norm5", x);
  network.add_level(x, 32, builder.features["norm5"].path());

  nn::linear_classifier_head(network, root, "classifier", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr nn::NormAct iabn{.activation = Activation::leaky_relu, .norm = nn::Norm::inplace};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"densenet121", {32, {6, 12, 24, 16}}},
    {"densenetblur121d", {.growth = 32, .depths = {6, 12, 24, 16}, .deep_stem = true, .blur = true}},
    {"densenet169", {32, {6, 12, 32, 32}}},
    {"densenet201", {32, {6, 12, 48, 32}}},
    {"densenet161", {48, {6, 12, 36, 24}}},
    {"densenet264d", {.growth = 48, .depths = {6, 12, 64, 48}, .deep_stem = true}},
    // Those of timm 0.3.4 that later releases no longer name.
    {"densenet121d", {.growth = 32, .depths = {6, 12, 24, 16}, .deep_stem = true}},
    {"densenet264", {48, {6, 12, 64, 48}}},
    {"densenet264d_iabn", {.growth = 48, .depths = {6, 12, 64, 48}, .deep_stem = true, .norm_act = iabn}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family densenet_family{"densenet", names_of(variants), build_variant};

}  // namespace wimm
