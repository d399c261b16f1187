// PP-LCNetV2 (timm/models/lcnetv2.py). Paper: arXiv 2103.05959.
#include <array>
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

struct Block {
  int64_t channels, kernel;
  bool split = false;     // two pointwise convolutions, the first half as wide
  bool branches = false;  // depthwise convolutions of all smaller odd sizes too, added up
  bool attention = false;
  bool residual = false;
};

constexpr Block stages[] = {{64, 3}, {128, 3}, {256, 5, true, true, true}, {512, 5, false, true, false, true}};

struct Spec {
  double width;
  std::array<int64_t, 4> depths;
};

NodeId conv(const Scope& scope, std::string_view name, NodeId x, nn::ConvOptions options, bool activate = true) {
  options.padding = nn::same_size_padding(options.kernel, options.stride);
  return nn::conv_norm_act(scope, name, x, options, {.activation = activate ? Activation::relu : Activation::identity});
}

NodeId depthwise(const Scope& scope, NodeId x, const Block& args, int64_t stride) {
  const int64_t channels = scope.channels(x);
  const auto of = [&](std::string_view name, int64_t kernel, bool activate) {
    return conv(scope, name, x, {.out_channels = channels, .kernel = kernel, .stride = stride, .groups = channels},
                activate);
  };
  if (!args.branches) return of("dw_conv", args.kernel, true);
  NodeId sum = of("dw_conv_list.0", args.kernel, false);
  int64_t index = 1;
  for (int64_t kernel = args.kernel - 2; kernel > (stride > 1 ? 1 : 0); kernel -= 2)
    sum = scope.add(sum, of("dw_conv_list." + std::to_string(index++), kernel, false));
  return scope.activate("dw_act", sum, Activation::relu);
}

NodeId block(const Scope& scope, NodeId x, const Block& args, int64_t channels, int64_t stride) {
  NodeId y = depthwise(scope, x, args, stride);
  if (args.attention) y = nn::squeeze_excite(scope["se"], y, {.reduced_channels = scope.channels(y) / 4});
  if (args.split) {
    y = conv(scope["pw_conv"], "0", y, {.out_channels = channels / 2});
    y = conv(scope["pw_conv"], "1", y, {.out_channels = channels});
  } else {
    y = conv(scope, "pw_conv", y, {.out_channels = channels});
  }
  return args.residual && stride == 1 && scope.channels(x) == channels ? scope.add(y, x) : y;
}

Network build(const Spec& spec, const BuildOptions& options) {
  const auto scaled = [&](int64_t channels) { return nn::make_divisible(static_cast<double>(channels) * spec.width); };
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = conv(root["stem"], "0", network.input, {.out_channels = scaled(32), .kernel = 3, .stride = 2});
  x = block(root["stem"]["1"], x, {64, 3}, scaled(64), 1);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    for (int64_t i = 0; i < spec.depths[s]; ++i)
      x = block(stage[i], x, stages[s], scaled(2 * stages[s].channels), i == 0 ? 2 : 1);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::hidden_classifier_head(network, root, "classifier", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"lcnetv2_small", {0.75, {2, 2, 4, 2}}},
    {"lcnetv2_base", {1, {2, 2, 6, 2}}},
    {"lcnetv2_large", {1.25, {2, 2, 8, 2}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family lcnetv2_family{"lcnetv2", names_of(variants), build_variant};

}  // namespace wimm
