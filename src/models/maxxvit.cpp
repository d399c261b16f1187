// CoAtNet, MaxViT and their like (timm/models/maxxvit.py).
// Papers: arXiv 2106.04803 (CoAtNet), 2204.01697 (MaxViT); the blocks of ConvNeXt 2201.03545.
#include "models/maxxvit.h"

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
using namespace maxxvit;

class Builder {
 public:
  Builder(const Spec& spec, Scope root, Size2d size) : spec_(spec), root_(std::move(root)), size_(size) {}

  NodeId stem(const Scope& scope, NodeId x) const {
    const auto conv = [&](std::string_view name, NodeId value, int64_t channels, int64_t stride) {
      return scope.conv2d(
          name, value,
          {.out_channels = channels, .kernel = 3, .stride = stride, .padding = padding(), .bias = spec_.stem_bias});
    };
    x = norm_act(scope, "norm1", conv("conv1", x, spec_.stem[0], 2));
    return conv("conv2", x, spec_.stem[1], 1);
  }

  NodeId block(const Scope& scope, NodeId x, Block kind, size_t stage, int64_t stride) const {
    const int64_t channels = spec_.channels[stage];
    switch (kind) {
      case Block::conv:
        return conv_block(scope, x, channels, stride);
      case Block::transformer:
        return transformer(scope, x, channels, stride, {size_[0] / (4 << stage), size_[1] / (4 << stage)});
      case Block::multi_axis:
        x = conv_block(scope["conv"], x, channels, stride);
        if (!spec_.grid_only) x = partition_attention(scope["attn_block"], x, false);
        return partition_attention(scope["attn_grid"], x, true);
      case Block::parallel:
        x = conv_block(scope["conv"]["0"], x, channels, stride);
        x = conv_block(scope["conv"]["1"], x, channels, 1);
        return parallel_attention(scope["attn"], x);
    }
    return x;
  }

  NodeId final_norm(const Scope& scope, NodeId x) const { return norm(scope, "norm", x); }

 private:
  Padding padding() const { return spec_.tf ? nn::tf_same : nn::padding(1); }
  double conv_eps() const { return spec_.tf ? 1e-3 : 1e-5; }

  // Norm and activation within convolutional blocks.
  NodeId norm_act(const Scope& scope, std::string_view name, NodeId x, bool activate = true) const {
    x = spec_.convnext ? scope.layer_norm(name, x) : scope.batch_norm(name, x, conv_eps());
    return activate ? scope[name].activate("act", x, spec_.conv_activation) : x;
  }

  // Of transformer blocks.
  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    return spec_.batch_norm ? scope.batch_norm(name, x, 1e-6) : scope.layer_norm(name, x, spec_.tf ? 1e-5 : 1e-6);
  }

  NodeId scaled(const Scope& scope, std::string_view name, NodeId x) const {
    return spec_.layer_scale ? nn::layer_scale(scope, name, x) : x;
  }

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels, bool max, bool bias) const {
    x = max ? scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)})
            : scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
    if (scope.channels(x) == channels) return x;
    return scope.conv2d("expand", x, {.out_channels = channels, .bias = bias});
  }

  NodeId conv_block(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    return spec_.convnext ? convnext(scope, x, channels, stride) : inverted_bottleneck(scope, x, channels, stride);
  }

  NodeId squeeze_excite(const Scope& scope, NodeId x, int64_t channels) const {
    const auto reduced = static_cast<int64_t>(spec_.squeeze_ratio * static_cast<double>(channels));
    return nn::squeeze_excite(scope, x, {.reduced_channels = reduced, .activation = spec_.squeeze_activation});
  }

  NodeId inverted_bottleneck(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    const bool pools = stride == 2 && spec_.stride_by_pool;
    const int64_t in = scope.channels(x),
                  hidden = nn::make_divisible(4.0 * static_cast<double>(spec_.expand_output ? channels : in));
    const NodeId shortcut =
        stride == 2 ? downsample(scope["shortcut"], x, channels, spec_.max_pool, spec_.output_bias) : x;
    x = norm_act(scope, "pre_norm", x, spec_.pre_norm_act);
    if (pools) x = downsample(scope["down"], x, in, false, false);
    x = norm_act(scope, "norm1", scope.conv2d("conv1_1x1", x, {.out_channels = hidden}));
    x = scope.conv2d(
        "conv2_kxk", x,
        {.out_channels = hidden, .kernel = 3, .stride = pools ? 1 : stride, .groups = hidden, .padding = padding()});
    const int64_t squeezed = spec_.expand_output ? channels : hidden;
    if (spec_.squeeze_early) x = squeeze_excite(scope["se_early"], x, squeezed);
    x = norm_act(scope, "norm2", x);
    if (!spec_.squeeze_early) x = squeeze_excite(scope["se"], x, squeezed);
    x = scope.conv2d("conv3_1x1", x, {.out_channels = channels, .bias = spec_.output_bias});
    return scope.add(x, shortcut);
  }

  NodeId convnext(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    NodeId shortcut = x;
    if (stride == 2) shortcut = downsample(scope["shortcut"], x, channels, false, true);
    x = scope.conv2d("conv_dw", x,
                     {.out_channels = channels,
                      .kernel = 7,
                      .stride = stride,
                      .groups = scope.channels(x),
                      .padding = nn::padding(3),
                      .bias = true});
    x = nn::mlp(scope["mlp"], scope.layer_norm("norm", x), {.hidden = 4 * channels, .conv = true});
    return scope.add(nn::layer_scale(scope, "ls", x), shortcut);
  }

  // How far apart tokens are makes a bias: learned, or computed by an MLP.
  RelativeBias relative_bias(const Scope& scope, Size2d grid, int64_t heads) const {
    RelativeBias bias{.grid = grid};
    if (spec_.position_mlp > 0) {
      bias.mlp = nn::offset_mlp(scope["mlp"], {"fc1", "fc2"}, spec_.position_mlp, heads, true);
    } else if (spec_.tf) {
      bias.head_first = true;
      bias.table =
          scope.parameter("relative_position_bias_table", {heads, 2 * grid[0] - 1, 2 * grid[1] - 1}, Init::token);
    } else {
      bias.table = nn::relative_bias_table(scope, "relative_position_bias_table", bias, heads);
    }
    return bias;
  }

  // Of `channels` of heads, each with queries, keys and values together, but for TensorFlow's order.
  Attention attention(int64_t channels) const {
    const int64_t depth = spec_.head_channels, heads = channels / depth;
    Attention op = nn::attention_of(3 * channels, heads);
    if (!spec_.tf) {
      op.q = {0, 3 * depth, depth};
      op.k = {depth, 3 * depth, depth};
      op.v = {2 * depth, 3 * depth, depth};
    }
    return op;
  }

  NodeId transformer(const Scope& scope, NodeId x, int64_t channels, int64_t stride, Size2d grid) const {
    const int64_t in = scope.channels(x);
    NodeId shortcut = x;
    if (stride == 2) {
      shortcut = downsample(scope["shortcut"], x, channels, spec_.max_pool, spec_.shortcut_bias);
      x = downsample(scope["norm1"]["down"], norm(scope["norm1"], "norm", x), in, spec_.max_pool, false);
    } else {
      x = norm(scope, "norm1", x);
    }
    const Scope attn = scope["attn"];
    const int64_t width = spec_.expand_output ? channels : in;
    Attention op = attention(width);
    const NodeId qkv = nn::to_tokens(attn, attn.conv2d("qkv", x, {.out_channels = 3 * width, .bias = true}));
    op.bias = relative_bias(attn["rel_pos"], grid, op.heads);
    const NodeId mixed = nn::to_image(attn, attn.node(op, {qkv, qkv, qkv}, width), x);
    const NodeId y = attn.conv2d("proj", mixed, {.out_channels = channels, .bias = true});
    x = scope.add(shortcut, scaled(scope, "ls1", y));
    const nn::Mlp mlp{.hidden = 4 * channels, .activation = spec_.activation, .conv = true};
    return scope.add(x, scaled(scope, "ls2", nn::mlp(scope["mlp"], norm(scope, "norm2", x), mlp)));
  }

  // Among the tokens of a window, or of a grid over the whole image.
  NodeId attend(const Scope& scope, NodeId x, int64_t channels, bool grid) const {
    const int64_t width = scope.channels(x);
    const Size2d partition{size_[0] / 32, size_[1] / 32};
    Attention op = attention(width);
    op.windows = Windows{.size = partition, .strided = grid};
    const NodeId qkv = scope.linear("qkv", x, 3 * width);
    op.bias = relative_bias(scope["rel_pos"], partition, op.heads);
    return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, width), channels);
  }

  NodeId partition_attention(const Scope& scope, NodeId x, bool grid) const {
    const double eps = spec_.tf ? 1e-5 : 1e-6;
    const NodeId y = attend(scope["attn"], scope.layer_norm("norm1", x, eps), scope.channels(x), grid);
    x = scope.add(x, scaled(scope, "ls1", y));
    const nn::Mlp mlp{.hidden = 4 * scope.channels(x), .activation = spec_.activation};
    return scope.add(x, scaled(scope, "ls2", nn::mlp(scope["mlp"], scope.layer_norm("norm2", x, eps), mlp)));
  }

  NodeId parallel_attention(const Scope& scope, NodeId x) const {
    const int64_t half = scope.channels(x) / 2;
    const NodeId normed = scope.layer_norm("norm1", x);
    const NodeId windows = attend(scope["attn_block"], normed, half, false),
                 grid = attend(scope["attn_grid"], normed, half, true);
    x = scope.add(x, scope.concat({windows, grid}));
    return scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = 8 * half}));
  }

  const Spec& spec_;
  Scope root_;
  Size2d size_;
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  if (size[0] % 32 != 0 || size[1] % 32 != 0 || size[0] < 32 || size[1] < 32)
    throw Error(ErrorCode::invalid_argument, "img_size must be a multiple of 32 in height and width, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  const Builder builder(spec, root, size);
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = builder.stem(root["stem"], network.input);
  network.add_level(x, 2, "stem");
  for (int64_t i = 0; i < 4; ++i) {
    const Scope scope = root["stages"][i];
    for (int64_t k = 0; k < spec.depths[i]; ++k) {
      const std::vector<Block> kinds = blocks_of(spec.kind, i);
      const Block kind = kinds[std::min<size_t>(k, kinds.size() - 1)];
      x = builder.block(scope["blocks"][k], x, kind, static_cast<size_t>(i), k == 0 ? 2 : 1);
    }
    network.add_level(x, 4 << i, scope.path());
  }
  const std::string pool = options.global_pool.value_or("avg");
  if (spec.head_hidden > 0) {
    nn::norm_mlp_classifier_head(network, root["head"], x, pool, options.num_classes,
                                 {.norm = nn::TokenNorm{.eps = spec.tf ? 1e-5 : 1e-6},
                                  .hidden = spec.head_hidden,
                                  .activation = Activation::tanh});
    return network;
  }
  nn::classifier_head(network, root["head"], builder.final_norm(root, x), pool, options.num_classes);
  return network;
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family maxxvit_family{"maxxvit", names_of(variants), build_variant};

}  // namespace wimm
