// TResNet (timm/models/tresnet.py). Papers: arXiv 2003.13630, 2104.10972 (V2).
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/blur_pool.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  std::array<int64_t, 4> layers;
  int64_t width = 64;  // of the stem; each stage doubles it
  bool v2 = false;     // bottlenecks in every stage
};

constexpr nn::NormAct leaky{.activation = Activation::leaky_relu_1e_3}, linear{.activation = Activation::identity};

// A 3×3 convolution; one of stride 2 is downsampled without aliasing.
NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride,
               const nn::NormAct& norm_act) {
  x = nn::conv_norm_act(scope, name, x, {.out_channels = channels, .kernel = 3, .padding = nn::padding(1)}, norm_act);
  return stride == 2 ? nn::blur_pool(scope[name]["aa"], x) : x;
}

NodeId conv1x1(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const nn::NormAct& norm_act) {
  return nn::conv_norm_act(scope, name, x, {.out_channels = channels}, norm_act);
}

NodeId squeeze_excite(const Scope& scope, NodeId x, int64_t reduced) {
  return nn::squeeze_excite(scope["se"], x, {.reduced_channels = std::max<int64_t>(reduced, 64)});
}

NodeId basic(const Scope& scope, NodeId x, int64_t planes, int64_t stride) {
  x = conv3x3(scope, "conv1", x, planes, stride, leaky);
  x = conv3x3(scope, "conv2", x, planes, 1, linear);
  return squeeze_excite(scope, x, planes / 4);
}

NodeId bottleneck(const Scope& scope, NodeId x, int64_t planes, int64_t stride, bool attention) {
  x = conv1x1(scope, "conv1", x, planes, leaky);
  x = conv3x3(scope, "conv2", x, planes, stride, leaky);
  if (attention) x = squeeze_excite(scope, x, planes / 2);
  return conv1x1(scope, "conv3", x, 4 * planes, linear);
}

NodeId shortcut(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  if (stride == 1) return conv1x1(scope, "0", x, channels, linear);
  x = scope.avg_pool("0", x, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true, .count_include_pad = false});
  return conv1x1(scope, "1", x, channels, linear);
}

NodeId stage(const Spec& spec, const Scope& scope, NodeId x, size_t index) {
  const bool basic_blocks = index < 2 && !spec.v2;
  const int64_t planes = spec.width << index, channels = basic_blocks ? planes : 4 * planes;
  for (int64_t i = 0; i < spec.layers[index]; ++i) {
    const Scope block = scope[i];
    const int64_t stride = index > 0 && i == 0 ? 2 : 1;
    const bool project = stride == 2 || scope.channels(x) != channels;
    const NodeId input = project ? shortcut(block["downsample"], x, channels, stride) : x;
    x = basic_blocks ? basic(block, x, planes, stride) : bottleneck(block, x, planes, stride, index < 3);
    x = block.activate("act", block.add(x, input), Activation::relu);
  }
  return x;
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph), body = root["body"];
  network.input = root.input(options.in_chans);
  NodeId x = body["s2d"].node(SpaceToDepth{4}, {network.input}, 16 * options.in_chans);
  x = conv3x3(body, "conv1", x, spec.width, 1, {.activation = Activation::leaky_relu});
  network.feature_info.push_back({no_id, spec.width, 2, ""});  // timm has no map of half the image's size
  network.out_indices = {1, 2, 3, 4};
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const Scope scope = body["layer" + std::to_string(i + 1)];
    x = stage(spec, scope, x, i);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"tresnet_m", {.layers = {3, 4, 11, 3}}},
    {"tresnet_l", {.layers = {4, 5, 18, 3}, .width = 76}},
    {"tresnet_xl", {.layers = {4, 5, 24, 3}, .width = 83}},
    {"tresnet_v2_l", {.layers = {3, 4, 23, 3}, .v2 = true}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family tresnet_family{"tresnet", names_of(variants), build_variant};

}  // namespace wimm
