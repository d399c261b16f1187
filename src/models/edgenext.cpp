// EdgeNeXt: depthwise convolutions, then several scales of them and attention between channels
// (timm/models/edgenext.py). Paper: arXiv 2206.10589.
#include <array>
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
  std::array<int64_t, 4> depths, channels;
  int64_t heads = 8;
  // A stem whose patches overlap, strided blocks instead of norms and convolutions, and no biases of convolutions.
  bool rw = false;
};

// clang-format off
constexpr Variant variants[] = {
    {"edgenext_xx_small", {2, 2, 6, 2}, {24, 48, 88, 168}, 4},
    {"edgenext_x_small", {3, 3, 9, 3}, {32, 64, 100, 192}, 4},
    {"edgenext_small", {3, 3, 9, 3}, {48, 96, 160, 304}},
    {"edgenext_base", {3, 3, 9, 3}, {80, 160, 288, 584}},
    {"edgenext_small_rw", {3, 3, 9, 3}, {48, 96, 192, 384}, 8, true},
};
// clang-format on

constexpr int64_t kernels[] = {3, 5, 7, 9}, scales[] = {2, 2, 3, 4};

struct Builder {
  const Variant& spec;

  nn::ConvOptions depthwise(int64_t out, int64_t groups, int64_t kernel, int64_t stride = 1) const {
    return {.out_channels = out,
            .kernel = kernel,
            .stride = stride,
            .groups = groups,
            .padding = nn::padding(kernel / 2),
            .bias = !spec.rw};
  }

  Affine gamma(const Scope& scope, std::string_view name, int64_t channels) const {
    return {.weight = scope.parameter(name, {channels}, Init::layer_scale)};
  }

  NodeId mlp(const Scope& scope, NodeId x, const Affine& gamma) const {
    const int64_t channels = scope.channels(x);
    return scope.node(gamma, {nn::mlp(scope["mlp"], scope.layer_norm("norm", x), {.hidden = 4 * channels})}, channels);
  }

  NodeId conv_block(const Scope& scope, NodeId x, int64_t channels, int64_t kernel, int64_t stride) const {
    const Affine scale = gamma(scope, "gamma", channels);
    const NodeId y = scope.conv2d("conv_dw", x, depthwise(channels, scope.channels(x), kernel, stride));
    const bool same = stride == 1 && scope.channels(x) == channels;
    return scope.add(same ? x : y, mlp(scope, y, scale));
  }

  // All parts but the last pass a convolution, each added to the result before it.
  NodeId convolved_parts(const Scope& scope, NodeId x, int64_t count) const {
    const int64_t channels = scope.channels(x), width = (channels + count - 1) / count;
    std::vector<NodeId> parts;
    for (int64_t i = 0; i + 1 < count; ++i) {
      NodeId part = scope.slice(x, i * width, width);
      if (i > 0) part = scope.add(parts.back(), part);
      parts.push_back(scope["convs"].conv2d(std::to_string(i), part, depthwise(width, width, 3)));
    }
    const int64_t rest = (count - 1) * width;
    parts.push_back(scope.slice(x, rest, channels - rest));
    return scope.concat(std::move(parts));
  }

  NodeId cross_covariance(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    const ParameterId temperature = scope.parameter("temperature", {spec.heads, 1, 1}, Init::ones);
    const NodeId qkv = scope.linear("qkv", x, 3 * channels);
    return scope.linear("proj", scope.node(CrossCovariance{spec.heads, temperature}, {qkv}, channels), channels);
  }

  NodeId split_transpose_block(const Scope& scope, NodeId x, size_t stage) const {
    const int64_t channels = scope.channels(x);
    const Affine gamma_xca = gamma(scope, "gamma_xca", channels), scale = gamma(scope, "gamma", channels);
    const NodeId image = convolved_parts(scope, x, scales[stage]);
    NodeId y = image;
    if (stage == 1) {
      const Scope projection = scope["pos_embd"]["token_projection"];
      y = projection.node(AddFourierPositions{projection.parameter("weight", {channels, 64, 1, 1}, Init::conv),
                                              projection.parameter("bias", {channels}, Init::zeros)},
                          {y}, channels);
    }
    y = nn::to_tokens(scope, y);
    y = scope.add(y,
                  scope.node(gamma_xca, {cross_covariance(scope["xca"], scope.layer_norm("norm_xca", y))}, channels));
    return scope.add(x, mlp(scope, nn::to_image(scope, y, image), scale));
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const int64_t channels = spec.channels[index], depth = spec.depths[index];
    if (index > 0 && !spec.rw) {
      const Scope down = scope["downsample"];
      x = down.conv2d("1", down.layer_norm("0", x), {.out_channels = channels, .kernel = 2, .stride = 2, .bias = true});
    }
    for (int64_t i = 0; i < depth; ++i) {
      const Scope block = scope["blocks"][i];
      const int64_t stride = spec.rw && index > 0 && i == 0 ? 2 : 1;
      const bool last = index > 0 && i == depth - 1;
      x = last ? split_transpose_block(block, x, index) : conv_block(block, x, channels, kernels[index], stride);
    }
    return x;
  }
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& spec = find(variants, name);
  const Builder builder{spec};
  Network network;
  const Scope root(network.graph), stem = root["stem"];
  network.input = root.input(options.in_chans);
  const int64_t kernel = spec.rw ? 9 : 4;
  NodeId x = stem.conv2d("0", network.input,
                         {.out_channels = spec.channels[0],
                          .kernel = kernel,
                          .stride = 4,
                          .padding = nn::padding(spec.rw ? kernel / 2 : 0),
                          .bias = !spec.rw});
  x = stem.layer_norm("1", x);
  for (size_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, x, i);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::norm_mlp_classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family edgenext_family{"edgenext", names_of(variants), build_variant};

}  // namespace wimm
