// StarNet (timm/models/starnet.py). Paper: arXiv 2403.19967.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  int64_t channels;  // of the first stage; each has twice as many as the one before
  std::array<int64_t, 4> depths;
  int64_t expansion = 4;
};

NodeId conv(const Scope& scope, std::string_view name, NodeId x, nn::ConvOptions options, bool norm = true) {
  options.bias = true;
  const Scope module = scope[name];
  x = module.conv2d("conv", x, options);
  return norm ? module.batch_norm("bn", x) : x;
}

NodeId strided(const Scope& scope, std::string_view name, NodeId x, int64_t channels) {
  return conv(scope, name, x, {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1)});
}

// The product of two projections between depthwise convolutions.
NodeId block(const Scope& scope, NodeId x, int64_t expansion) {
  const int64_t channels = scope.channels(x);
  const nn::ConvOptions depthwise{.out_channels = channels, .kernel = 7, .groups = channels, .padding = nn::padding(3)};
  NodeId y = conv(scope, "dwconv", x, depthwise);
  const nn::ConvOptions expand{.out_channels = expansion * channels};
  const NodeId gate = scope.activate("act", conv(scope, "f1", y, expand, false), Activation::relu6);
  y = conv(scope, "g", scope.mul(gate, conv(scope, "f2", y, expand, false)), {.out_channels = channels});
  return scope.add(conv(scope, "dwconv2", y, depthwise, false), x);
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = root["stem"].activate("1", strided(root["stem"], "0", network.input, 32), Activation::relu6);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    x = strided(stage, "0", x, spec.channels << s);
    for (int64_t i = 1; i <= spec.depths[s]; ++i) x = block(stage[i], x, spec.expansion);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::linear_classifier_head(network, root, "head", root.batch_norm("norm", x), options.global_pool.value_or("avg"),
                             options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"starnet_s1", {24, {2, 2, 8, 3}}},      {"starnet_s2", {32, {1, 2, 6, 2}}},
    {"starnet_s3", {32, {2, 2, 8, 4}}},      {"starnet_s4", {32, {3, 3, 12, 5}}},
    {"starnet_s050", {16, {1, 1, 3, 1}, 3}}, {"starnet_s100", {20, {1, 2, 4, 1}}},
    {"starnet_s150", {24, {1, 2, 4, 2}, 3}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family starnet_family{"starnet", names_of(variants), build_variant};

}  // namespace wimm
