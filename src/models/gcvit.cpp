// Global context vision transformers (timm/models/gcvit.py). Paper: arXiv 2206.09959.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;
using PerStage = std::array<int64_t, 4>;

struct Variant {
  std::string_view name;
  int64_t width;  // channels of the first stage, and of the others twice those of the one before
  PerStage depths, heads;
  int64_t mlp_ratio = 3;
  bool layer_scale = false;
};

constexpr double eps = 1e-5;
constexpr PerStage window_ratios{32, 32, 16, 32};  // of the image's sides to the windows'

struct Builder {
  const Variant& variant;
  Scope root;

  // Depthwise and pointwise convolutions around squeeze-and-excitation.
  NodeId conv_block(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    NodeId y = scope.conv2d("conv_dw", x,
                            {.out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1)});
    y = scope.activate("act", y, Activation::gelu);
    const int64_t reduced = nn::make_divisible(0.25 * static_cast<double>(channels), 8, 0, 0);
    y = nn::squeeze_excite(scope["se"], y,
                           {.reduced_channels = reduced, .activation = Activation::gelu, .bias = false});
    return scope.add(scope.conv2d("conv_pw", y, {.out_channels = channels}), x);
  }

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels) const {
    x = conv_block(scope["conv_block"], scope.layer_norm("norm1", x, eps));
    x = scope.conv2d("reduction", x, {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1)});
    return scope.layer_norm("norm2", x, eps);
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    x = scope.conv2d(
        "conv1", x, {.out_channels = variant.width, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
    return downsample(scope["down"], x, variant.width);
  }

  // The whole image, made as small as a window: the queries of every window.
  NodeId global_queries(const Scope& scope, NodeId x, int64_t halvings) const {
    for (int64_t i = 1; i <= std::max<int64_t>(1, halvings); ++i) {
      x = conv_block(scope["conv" + std::to_string(i)], x);
      if (i <= halvings)
        x = scope.max_pool("pool" + std::to_string(i), x,
                           {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
    }
    return x;
  }

  // Within windows; with the queries of the windows' own tokens, or with global ones.
  NodeId attention(const Scope& scope, NodeId x, NodeId queries, int64_t heads, Size2d window) const {
    const int64_t channels = scope.channels(x), depth = channels / heads;
    Attention op = nn::attention_of(3 * channels, heads);
    op.windows = Windows{.size = window};
    op.bias = RelativeBias{.grid = window};
    op.bias->table = nn::relative_bias_table(scope["rel_pos"], "relative_position_bias_table", *op.bias, heads);
    const bool global = queries != no_id;
    const NodeId qkv = scope.linear("qkv", x, (global ? 2 : 3) * channels);
    if (global) {
      op.windows->shares_queries = true;
      op.k = {0, depth, depth};
      op.v = {channels, depth, depth};
    }
    return scope.linear("proj", scope.node(op, {global ? queries : qkv, qkv, qkv}, channels), channels);
  }

  NodeId scaled(const Scope& scope, std::string_view name, NodeId x) const {
    return variant.layer_scale ? nn::layer_scale(scope, name, x) : x;
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index, Size2d size, Size2d window) const {
    if (index > 0) x = downsample(scope["downsample"], x, variant.width << index);
    int64_t halvings = 0;
    while (std::min(size[0], size[1]) >> (halvings + 1) >= std::min(window[0], window[1])) ++halvings;
    const NodeId queries = global_queries(scope["global_block"]["blocks"], x, halvings);
    for (int64_t i = 0; i < variant.depths[index]; ++i) {
      const Scope block = scope["blocks"][i];
      const NodeId y = attention(block["attn"], block.layer_norm("norm1", x, eps), i % 2 == 1 ? queries : no_id,
                                 variant.heads[index], window);
      x = block.add(x, scaled(block, "ls1", y));
      const nn::Mlp mlp{.hidden = variant.mlp_ratio * scope.channels(x)};
      x = block.add(x, scaled(block, "ls2", nn::mlp(block["mlp"], block.layer_norm("norm2", x, eps), mlp)));
    }
    return index == 3 ? scope.layer_norm("norm", x, eps) : x;
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant, Scope(network.graph)};
  const Scope& root = builder.root;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  if (size[0] % 32 != 0 || size[1] % 32 != 0 || size[0] < 32 || size[1] < 32)
    throw Error(ErrorCode::invalid_argument, "img_size must be a multiple of 32 in height and width, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = builder.stem(root["stem"], network.input);
  for (int64_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][i];
    const Size2d window{size[0] / window_ratios[i], size[1] / window_ratios[i]};
    x = builder.stage(scope, x, static_cast<size_t>(i), {size[0] / (4 << i), size[1] / (4 << i)}, window);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr PerStage deep{3, 4, 19, 5}, heads2{2, 4, 8, 16};

constexpr Variant variants[] = {
    {"gcvit_xxtiny", 64, {2, 2, 6, 2}, heads2},
    {"gcvit_xtiny", 64, {3, 4, 6, 5}, heads2},
    {"gcvit_tiny", 64, deep, heads2},
    {"gcvit_small", 96, deep, {3, 6, 12, 24}, 2, true},
    {"gcvit_base", 128, deep, {4, 8, 16, 32}, 2, true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family gcvit_family{"gcvit", names_of(variants), build_variant};

}  // namespace wimm
