// Sequencer: LSTMs along rows and columns (timm/models/sequencer.py). Paper: arXiv 2205.01972.
#include <array>
#include <string>
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
  std::array<int64_t, 4> depths;
};

constexpr int64_t patch = 7;
constexpr std::array<int64_t, 4> channels{192, 384, 384, 384}, strides{patch, 2, 1, 1};

// Both ways along columns or rows; each way has a quarter of the channels.
NodeId lstm(const Scope& scope, NodeId x, bool vertical) {
  const int64_t in = scope.channels(x), hidden = in / 4;
  const auto declare = [&](const std::string& end) {
    return Lstm::Weights{.weight_ih = scope.parameter("weight_ih_l0" + end, {4 * hidden, in}, Init::linear),
                         .weight_hh = scope.parameter("weight_hh_l0" + end, {4 * hidden, hidden}, Init::linear),
                         .bias_ih = scope.parameter("bias_ih_l0" + end, {4 * hidden}, Init::zeros),
                         .bias_hh = scope.parameter("bias_hh_l0" + end, {4 * hidden}, Init::zeros)};
  };
  const Lstm::Weights forward = declare(""), backward = declare("_reverse");
  return scope.node(Lstm{hidden, vertical, forward, backward}, {x}, 2 * hidden);
}

NodeId block(const Scope& scope, NodeId x) {
  const Scope rnn = scope["rnn_tokens"];
  const int64_t width = scope.channels(x);
  const NodeId normed = scope.layer_norm("norm1", x);
  const Linear fc = rnn.declare_linear("fc", width, width);
  const NodeId vertical = lstm(rnn["rnn_v"], normed, true), horizontal = lstm(rnn["rnn_h"], normed, false);
  x = scope.add(x, rnn["fc"].node(fc, {rnn.concat({vertical, horizontal})}, width));
  return scope.add(x, nn::mlp(scope["mlp_channels"], scope.layer_norm("norm2", x), {.hidden = 3 * width}));
}

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const auto embed = [](const Scope& scope, std::string_view name, NodeId x, size_t stage) {
    return scope.conv2d(
        name, x, {.out_channels = channels[stage], .kernel = strides[stage], .stride = strides[stage], .bias = true});
  };
  network.input = root.input(options.in_chans);
  NodeId x = embed(root["stem"], "proj", network.input, 0);
  int64_t reduction = patch;
  for (size_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    if (i > 0) {
      x = embed(scope["downsample"], "down", x, i);
      reduction *= strides[i];
    }
    for (int64_t k = 0; k < variant.depths[i]; ++k) x = block(scope["blocks"][k], x);
    network.add_level(x, reduction, scope.path());
  }
  network.out_indices = {0, 1, 2};
  nn::classifier_head(network, root["head"], root.layer_norm("norm", x), options.global_pool.value_or("avg"),
                      options.num_classes);
  return network;
}

constexpr Variant variants[] = {
    {"sequencer2d_s", {4, 3, 8, 3}},
    {"sequencer2d_m", {4, 3, 14, 3}},
    {"sequencer2d_l", {8, 8, 16, 4}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family sequencer_family{"sequencer", names_of(variants), build_variant};

}  // namespace wimm
