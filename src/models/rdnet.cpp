// RDNet: dense connections in the manner of ConvNeXt (timm/models/rdnet.py). Paper: arXiv 2403.19588.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

// Channels that each block of a stage adds: of the first two stages, of the `middle` ones, and of those that follow the
// last halving.
struct Spec {
  int64_t channels;
  std::array<int64_t, 4> growth;
  int64_t stages, last_stages;
};

// What a block adds to the values before it.
NodeId block(const Scope& scope, NodeId x, int64_t growth, bool attentive) {
  const int64_t channels = scope.channels(x);
  const ParameterId gamma = scope.parameter("gamma", {growth}, Init::layer_scale);
  const Scope layers = scope["layers"]["layers"];
  NodeId y = layers.conv2d(
      "0", x, {.out_channels = channels, .kernel = 7, .groups = channels, .padding = nn::padding(3), .bias = true});
  y = layers.conv2d("2", layers.layer_norm("1", y), {.out_channels = 4 * channels / 8 * 8, .bias = true});
  y = layers.conv2d("4", layers.activate("3", y, Activation::gelu), {.out_channels = growth, .bias = true});
  if (attentive) y = nn::effective_squeeze_excite(layers["5"], y);
  return scope["gamma"].node(Affine{.weight = gamma}, {y}, growth);
}

Network build(const Spec& spec, const BuildOptions& options) {
  constexpr int64_t blocks = 3;
  Network network;
  const Scope root(network.graph), stem = root["stem"];
  network.input = root.input(options.in_chans);
  NodeId x = stem.conv2d("0", network.input, {.out_channels = spec.channels, .kernel = 4, .stride = 4, .bias = true});
  x = stem.layer_norm("1", x);
  const int64_t last = spec.stages - spec.last_stages;
  const auto halves = [&](int64_t stage) { return stage == 1 || stage == 2 || stage == last; };
  int64_t reduction = 4;
  for (int64_t s = 0; s < spec.stages; ++s) {
    const Scope stage = root["dense_stages"][s];
    const int64_t growth = spec.growth[static_cast<size_t>(s < 2 ? s : s < last ? 2 : 3)];
    if (s > 0) {
      const int64_t stride = halves(s) ? 2 : 1;
      const int64_t channels = root.channels(x) / 16 * 8;
      x = stage.conv2d("1", stage.layer_norm("0", x),
                       {.out_channels = channels, .kernel = stride, .stride = stride, .bias = true});
      reduction *= stride;
    }
    std::vector<NodeId> values{x};
    for (int64_t b = 0; b < blocks; ++b) {
      const Scope dense = stage[s > 0 ? 2 : 0]["dense_block" + std::to_string(b)];
      values.push_back(block(dense, x, growth, s > 1));
      x = dense.concat(values);
    }
    if (s + 1 == spec.stages || halves(s + 1)) network.add_level(x, reduction, stage.path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"rdnet_tiny", {64, {64, 104, 128, 224}, 7, 1}},
    {"rdnet_small", {72, {64, 128, 128, 240}, 11, 2}},
    {"rdnet_base", {120, {96, 128, 168, 336}, 11, 2}},
    {"rdnet_large", {144, {128, 192, 256, 360}, 12, 2}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family rdnet_family{"rdnet", names_of(variants), build_variant};

}  // namespace wimm
