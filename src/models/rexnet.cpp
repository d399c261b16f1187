// ReXNet (timm/models/rexnet.py). Paper: arXiv 2007.00992.
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  double width = 1;
  int64_t divisor = 1;  // of every number of channels
};

constexpr Variant variants[] = {
    {"rexnet_100"},        {"rexnet_130", 1.3},    {"rexnet_150", 1.5},     {"rexnet_200", 2},
    {"rexnet_300", 3},     {"rexnetr_100", 1, 8},  {"rexnetr_130", 1.3, 8}, {"rexnetr_150", 1.5, 8},
    {"rexnetr_200", 2, 8}, {"rexnetr_300", 3, 16},
};

constexpr struct {
  int64_t blocks, stride;
  bool squeeze_excite;
} stages[] = {{1, 1, false}, {2, 2, false}, {2, 2, true}, {3, 2, true}, {3, 1, true}, {5, 2, true}};

struct Builder {
  const Variant& variant;

  int64_t round(double channels) const { return nn::make_divisible(std::nearbyint(channels), variant.divisor); }

  NodeId block(const Scope& scope, NodeId input, int64_t channels, int64_t stride, bool expand,
               bool squeeze_excite) const {
    const int64_t in = scope.channels(input);
    NodeId x = input;
    if (expand) {
      const int64_t expanded = nn::make_divisible(static_cast<double>(6 * in), variant.divisor);
      x = conv_norm_act(scope, "conv_exp", x, {.out_channels = expanded}, {Activation::silu});
    }
    const int64_t middle = scope.channels(x);
    x = conv_norm_act(
        scope, "conv_dw", x,
        {.out_channels = middle, .kernel = 3, .stride = stride, .groups = middle, .padding = nn::padding(1)},
        {Activation::identity});
    if (squeeze_excite) {
      const int64_t reduced = nn::make_divisible(std::floor(static_cast<double>(middle) * (1 / 12.)), variant.divisor);
      x = nn::squeeze_excite(scope["se"], x, {.reduced_channels = reduced, .norm = true});
    }
    x = scope.activate("act_dw", x, Activation::relu6);
    x = conv_norm_act(scope, "conv_pwl", x, {.out_channels = channels}, {Activation::identity});
    return stride == 1 && in <= channels ? shortcut(scope, x, input) : x;
  }

  // The input joins as many channels as it has.
  NodeId shortcut(const Scope& scope, NodeId x, NodeId input) const {
    const int64_t in = scope.channels(input), out = scope.channels(x);
    if (in == out) return scope.add(x, input);
    return scope.concat({scope.add(scope.slice(x, 0, in), input), scope.slice(x, in, out - in)});
  }
};

Network build(std::string_view name, const BuildOptions& options) {
  const Builder builder{find(variants, name)};
  const double width = builder.variant.width;
  Network network;
  const Scope root(network.graph), features = root["features"];

  network.input = root.input(options.in_chans);
  NodeId x =
      conv_norm_act(root, "stem", network.input,
                    {.out_channels = builder.round(32 * width), .kernel = 3, .stride = 2, .padding = nn::padding(1)},
                    {Activation::silu});

  int64_t index = 0, reduction = 2;
  const auto add_level = [&] { network.add_level(x, reduction, features[index - 1].path()); };
  double channels = 16;  // grows linearly from block to block
  for (const auto& stage : stages) {
    for (int64_t i = 0; i < stage.blocks; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      if (stride > 1) {
        add_level();
        reduction *= stride;
      }
      x = builder.block(features[index], x, builder.round(channels * width), stride, index > 0, stage.squeeze_excite);
      channels += 180.0 / 16;
      ++index;
    }
  }
  add_level();
  const int64_t last = nn::make_divisible(1280 * width, builder.variant.divisor);
  x = conv_norm_act(features, std::to_string(index), x, {.out_channels = last}, {Activation::silu});
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family rexnet_family{"rexnet", names_of(variants), build};

}  // namespace wimm
