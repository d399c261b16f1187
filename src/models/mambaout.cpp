// MambaOut: gated convolutional blocks (timm/models/mambaout.py). Paper: arXiv 2405.07992.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 4>;

struct Spec {
  Sizes depths, channels;
  double expansion = 8.0 / 3;
  double conv_ratio = 1;  // the channels that are convolved, as a ratio of the block's
  bool rw = false;        // norms before the downsampling, layer scales, another head
  Activation activation = Activation::gelu;
};

NodeId strided(const Scope& scope, std::string_view name, NodeId x, int64_t channels) {
  return scope.conv2d(name, x,
                      {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
}

struct Builder {
  const Spec& spec;

  NodeId stem(const Scope& scope, NodeId x) const {
    x = strided(scope, "conv1", x, spec.channels[0] / 2);
    if (!spec.rw) x = scope.layer_norm("norm1", x);
    x = scope.activate("act", x, spec.activation);
    return scope.layer_norm("norm2", strided(scope, "conv2", x, spec.channels[0]));
  }

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels) const {
    return spec.rw ? strided(scope, "conv", scope.layer_norm("norm", x), channels)
                   : scope.layer_norm("norm", strided(scope, "conv", x, channels));
  }

  // The last channels of the value are convolved; the gate is multiplied with each part where it lies.
  NodeId block(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    const auto hidden = static_cast<int64_t>(spec.expansion * static_cast<double>(channels)),
               convolved = static_cast<int64_t>(spec.conv_ratio * static_cast<double>(channels)),
               plain = hidden - convolved;
    const NodeId both = scope.linear("fc1", scope.layer_norm("norm", x), 2 * hidden);
    const auto gate = [&](int64_t begin, int64_t size) {
      return scope.activate("act", scope.slice(both, begin, size), spec.activation);
    };
    const NodeId conv = scope.conv2d(
        "conv", scope.slice(both, hidden + plain, convolved),
        {.out_channels = convolved, .kernel = 7, .groups = convolved, .padding = nn::padding(3), .bias = true});
    const NodeId value = scope.concat(
        {scope.mul(gate(0, plain), scope.slice(both, hidden, plain)), scope.mul(gate(plain, convolved), conv)});
    NodeId y = scope.linear("fc2", value, channels);
    if (spec.rw) y = nn::layer_scale(scope, "ls", y);
    return scope.add(y, x);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  const std::string pool = options.global_pool.value_or("avg");
  if (!spec.rw && !pool.empty() && pool != "avg")
    throw Error(ErrorCode::invalid_argument, "global pool must be 'avg' or '', got " + quote(pool));
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    if (s > 0) x = builder.downsample(stage["downsample"], x, spec.channels[s]);
    for (int64_t i = 0; i < spec.depths[s]; ++i) x = builder.block(stage["blocks"][i], x);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, pool, options.num_classes,
                               {.hidden = 4 * spec.channels[3], .channels_last = true, .hidden_norm = !spec.rw});
  return network;
}

constexpr Sizes small_channels{96, 192, 384, 576}, base_channels{128, 256, 512, 768}, femto_channels{48, 96, 192, 288};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"mambaout_femto", {{3, 3, 9, 3}, femto_channels}},
    {"mambaout_kobe", {{3, 3, 15, 3}, femto_channels}},
    {"mambaout_tiny", {{3, 3, 9, 3}, small_channels}},
    {"mambaout_small", {{3, 4, 27, 3}, small_channels}},
    {"mambaout_base", {{3, 4, 27, 3}, base_channels}},
    {"mambaout_small_rw", {{3, 4, 27, 3}, small_channels, 8.0 / 3, 1, true}},
    {"mambaout_base_short_rw", {{3, 3, 25, 3}, base_channels, 3, 1.25, true}},
    {"mambaout_base_tall_rw", {{3, 4, 30, 3}, base_channels, 2.5, 1.25, true}},
    {"mambaout_base_wide_rw", {{3, 4, 27, 3}, base_channels, 3, 1.5, true, Activation::silu}},
    {"mambaout_base_plus_rw", {{3, 4, 30, 3}, base_channels, 3, 1.5, true, Activation::silu}},
    {"test_mambaout", {{1, 1, 3, 1}, {16, 32, 48, 64}, 3, 1, true, Activation::silu}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family mambaout_family{"mambaout", names_of(variants), build_variant};

}  // namespace wimm
