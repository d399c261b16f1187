// PP-HGNet, first and second version (timm/models/hgnet.py). Paper: arXiv 2103.05959.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Stage {
  int64_t mid_channels, channels, blocks;
  int64_t kernel = 3;
  bool light = false;  // pointwise and depthwise convolutions
};

struct Spec {
  bool v2;
  std::array<int64_t, 2> stem_channels;  // first and last
  std::array<Stage, 4> stages;
  int64_t layers;       // of a block
  bool affine = false;  // learned scale and shift behind each activation
};

struct Builder {
  const Spec& spec;

  NodeId affine(const Scope& scope, NodeId x) const {
    const ParameterId scale = scope.parameter("scale", {1}, Init::ones),
                      bias = scope.parameter("bias", {1}, Init::zeros);
    return scope.node(Affine{.weight = scale, .bias = bias}, {x}, scope.channels(x));
  }

  NodeId conv(const Scope& scope, NodeId x, nn::ConvOptions options, bool activate = true) const {
    options.padding = nn::same_size_padding(options.kernel, options.stride);
    x = scope.batch_norm("bn", scope.conv2d("conv", x, options));
    if (!activate) return x;
    x = scope.activate("act", x, Activation::relu);
    return spec.affine ? affine(scope["lab"], x) : x;
  }

  NodeId pad(const Scope& scope, NodeId x) const {
    return scope["pad"].node(Pad{.padding = {.bottom = 1, .right = 1}, .mode = Pad::Mode::zeros}, {x},
                             scope.channels(x));
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    const auto [mid, out] = spec.stem_channels;
    if (!spec.v2) {
      x = conv(scope["stem"]["0"], x, {.out_channels = mid, .kernel = 3, .stride = 2});
      x = conv(scope["stem"]["1"], x, {.out_channels = mid, .kernel = 3});
      x = conv(scope["stem"]["2"], x, {.out_channels = out, .kernel = 3});
      return scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
    }
    x = pad(scope, conv(scope["stem1"], x, {.out_channels = mid, .kernel = 3, .stride = 2}));
    NodeId y = conv(scope["stem2a"], x, {.out_channels = mid / 2, .kernel = 2});
    y = conv(scope["stem2b"], pad(scope["stem2b"], y), {.out_channels = mid, .kernel = 2});
    x = scope.concat({scope.max_pool("pool", x, {.kernel = {2, 2}, .stride = {1, 1}}), y});
    x = conv(scope["stem3"], x, {.out_channels = mid, .kernel = 3, .stride = 2});
    return conv(scope["stem4"], x, {.out_channels = out});
  }

  NodeId layer(const Scope& scope, NodeId x, const Stage& stage) const {
    const int64_t mid = stage.mid_channels;
    if (!stage.light) return conv(scope, x, {.out_channels = mid, .kernel = stage.kernel});
    x = conv(scope["conv1"], x, {.out_channels = mid}, false);
    return conv(scope["conv2"], x, {.out_channels = mid, .kernel = stage.kernel, .groups = mid});
  }

  // The input and the result of each layer, all together.
  NodeId block(const Scope& scope, NodeId x, const Stage& stage, bool residual) const {
    std::vector<NodeId> values{x};
    for (int64_t i = 0; i < spec.layers; ++i) values.push_back(layer(scope["layers"][i], values.back(), stage));
    const Scope aggregation = scope["aggregation"];
    NodeId y = aggregation.concat(std::move(values));
    if (spec.v2) {
      y = conv(aggregation["0"], y, {.out_channels = stage.channels / 2});
      y = conv(aggregation["1"], y, {.out_channels = stage.channels});
    } else {
      y = conv(aggregation["0"], y, {.out_channels = stage.channels});
      const Scope gate = aggregation["1"];
      const NodeId pooled = gate.global_pool("pool", y, PoolKind::avg, true);
      const NodeId mixed = gate.conv2d("conv", pooled, {.out_channels = stage.channels, .bias = true});
      y = gate.mul(y, gate.activate("sigmoid", mixed, Activation::sigmoid));
    }
    return residual ? scope.add(y, x) : y;
  }

  void head(Network& network, const Scope& scope, NodeId x, const BuildOptions& options) const {
    const std::string pool = options.global_pool.value_or("avg");
    if (!spec.affine)
      return nn::hidden_classifier_head(network, scope, "fc", x, pool, options.num_classes,
                                        {.name = "last_conv.0", .channels = 2048});
    nn::hidden_classifier_head(network, scope, "fc", x, pool, options.num_classes,
                               {.name = "last_conv.0", .channels = 2048, .behind = [this, &scope](NodeId y) {
                                  return affine(scope["last_conv.2"], y);
                                }});
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    const Scope scope = root["stages"][static_cast<int64_t>(s)];
    const int64_t channels = root.channels(x);
    if (s > 0)
      x = builder.conv(scope["downsample"], x, {.out_channels = channels, .kernel = 3, .stride = 2, .groups = channels},
                       false);
    for (int64_t i = 0; i < spec.stages[s].blocks; ++i) x = builder.block(scope["blocks"][i], x, spec.stages[s], i > 0);
    network.add_level(x, 4 << s, scope.path());
  }
  builder.head(network, root["head"], x, options);
  return network;
}

constexpr Spec v1(int64_t stem, const std::array<Stage, 4>& stages, int64_t stem_out, int64_t layers) {
  return {.v2 = false, .stem_channels = {stem, stem_out}, .stages = stages, .layers = layers};
}

// The last two stages are light.
constexpr Spec v2(int64_t stem, int64_t stem_out, std::array<Stage, 4> stages, int64_t layers, bool affine) {
  for (const size_t s : {2, 3}) {
    stages[s].kernel = 5;
    stages[s].light = true;
  }
  return {.v2 = true, .stem_channels = {stem, stem_out}, .stages = stages, .layers = layers, .affine = affine};
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"hgnet_tiny", v1(48, {{{96, 224, 1}, {128, 448, 1}, {160, 512, 2}, {192, 768, 1}}}, 96, 5)},
    {"hgnet_small", v1(64, {{{128, 256, 1}, {160, 512, 1}, {192, 768, 2}, {224, 1024, 1}}}, 128, 6)},
    {"hgnet_base", v1(96, {{{192, 320, 1}, {224, 640, 2}, {256, 960, 3}, {288, 1280, 2}}}, 160, 7)},
    {"hgnetv2_b0", v2(16, 16, {{{16, 64, 1}, {32, 256, 1}, {64, 512, 2}, {128, 1024, 1}}}, 3, true)},
    {"hgnetv2_b1", v2(24, 32, {{{32, 64, 1}, {48, 256, 1}, {96, 512, 2}, {192, 1024, 1}}}, 3, true)},
    {"hgnetv2_b2", v2(24, 32, {{{32, 96, 1}, {64, 384, 1}, {128, 768, 3}, {256, 1536, 1}}}, 4, true)},
    {"hgnetv2_b3", v2(24, 32, {{{32, 128, 1}, {64, 512, 1}, {128, 1024, 3}, {256, 2048, 1}}}, 5, true)},
    {"hgnetv2_b4", v2(32, 48, {{{48, 128, 1}, {96, 512, 1}, {192, 1024, 3}, {384, 2048, 1}}}, 6, false)},
    {"hgnetv2_b5", v2(32, 64, {{{64, 128, 1}, {128, 512, 2}, {256, 1024, 5}, {512, 2048, 2}}}, 6, false)},
    {"hgnetv2_b6", v2(48, 96, {{{96, 192, 2}, {192, 512, 3}, {384, 1024, 6}, {768, 2048, 3}}}, 6, false)},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family hgnet_family{"hgnet", names_of(variants), build_variant};

}  // namespace wimm
