// CSPNeXt (timm/models/cspnext.py). Paper: RTMDet, arXiv 2212.07784.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t kernel = 1,
            int64_t stride = 1, int64_t groups = 1) {
  return nn::conv_norm_act(scope, name, x,
                           {.out_channels = channels,
                            .kernel = kernel,
                            .stride = stride,
                            .groups = groups,
                            .padding = nn::same_size_padding(kernel)},
                           {.activation = Activation::silu});
}

NodeId block(const Scope& scope, NodeId x, bool residual) {
  const int64_t channels = scope.channels(x);
  NodeId y = conv(scope, "conv1", x, channels, 3);
  y = conv(scope["conv2"], "depthwise_conv", y, channels, 5, 1, channels);
  y = conv(scope["conv2"], "pointwise_conv", y, channels);
  return residual ? scope.add(y, x) : y;
}

// Half of the channels through the blocks, half past them.
NodeId cross_stage(const Scope& scope, NodeId x, int64_t depth, bool residual) {
  const int64_t channels = scope.channels(x), half = channels / 2;
  const NodeId past = conv(scope, "short_conv", x, half);
  NodeId through = conv(scope, "main_conv", x, half);
  for (int64_t i = 0; i < depth; ++i) through = block(scope["blocks"][i], through, residual);
  const NodeId both = nn::effective_squeeze_excite(scope["attention"], scope.concat({through, past}));
  return conv(scope, "final_conv", both, channels);
}

// Maxima over windows of three sizes beside the value.
NodeId pool_pyramid(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  x = conv(scope, "conv1", x, channels / 2);
  std::vector<NodeId> values{x};
  for (const int64_t side : {5, 9, 13})
    values.push_back(
        scope.max_pool("pool", x, {.kernel = {side, side}, .stride = {1, 1}, .padding = nn::padding(side / 2)}));
  return conv(scope, "conv2", scope.concat(std::move(values)), channels);
}

Network build(double depth, double width, const BuildOptions& options) {
  constexpr int64_t depths[] = {3, 6, 6, 3}, channels[] = {128, 256, 512, 1024};
  const auto scaled = [&](int64_t count) { return static_cast<int64_t>(static_cast<double>(count) * width); };
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  const int64_t stem = scaled(channels[0]) / 2;
  NodeId x = conv(root["stem"], "0", network.input, stem / 2, 3, 2);
  x = conv(root["stem"], "1", x, stem / 2, 3);
  x = conv(root["stem"], "2", x, stem, 3);
  network.add_level(x, 2, "stem");
  for (int64_t s = 0; s < 4; ++s) {
    const Scope stage = root["stages"][s];
    const bool last = s == 3;
    x = conv(stage, "0", x, scaled(channels[s]), 3, 2);
    if (last) x = pool_pyramid(stage["1"], x);
    const int64_t count = std::max<int64_t>(std::llrint(static_cast<double>(depths[s]) * depth), 1);
    x = cross_stage(stage[last ? 2 : 1], x, count, !last);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  double depth, width;
};

constexpr Variant variants[] = {
    {"cspnext_tiny", 0.167, 0.375}, {"cspnext_s", 0.33, 0.5}, {"cspnext_m", 0.67, 0.75}, {"cspnext_l", 1, 1},
    {"cspnext_x", 1.33, 1.25},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return build(variant.depth, variant.width, options);
}

}  // namespace

extern constinit const Family cspnext_family{"cspnext", names_of(variants), build_variant};

}  // namespace wimm
