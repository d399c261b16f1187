// Deep layer aggregation, with Res2Net and Res2NeXt blocks (timm/models/dla.py). Papers: arXiv 1707.06484, 1904.01169.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/multi_scale.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

enum class Block : uint8_t { basic, bottleneck, bottle2neck };

struct Spec {
  Block block;
  std::array<int64_t, 6> levels, channels;
  int64_t cardinality = 1, base_width = 64;
  bool shortcut_root = false;
};

// A tree's level: how deep it is, and what it does to its input.
struct TreeOptions {
  int64_t levels, channels, stride;
  bool level_root = false;  // the root sees the tree's (downsampled) input
};

constexpr int64_t res2net_scale = 4;

struct Builder {
  const Spec& spec;
  Network& network;

  NodeId relu(const Scope& scope, NodeId x) const { return scope.activate("relu", x, Activation::relu); }

  NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1,
                 int64_t groups = 1) const {
    return scope.conv2d(
        name, x,
        {.out_channels = channels, .kernel = 3, .stride = stride, .groups = groups, .padding = nn::padding(1)});
  }

  NodeId conv1x1(const Scope& scope, std::string_view name, NodeId x, int64_t channels) const {
    return scope.conv2d(name, x, {.out_channels = channels});
  }

  NodeId basic(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    x = relu(scope, scope.batch_norm("bn1", conv3x3(scope, "conv1", x, channels, stride)));
    return scope.batch_norm("bn2", conv3x3(scope, "conv2", x, channels));
  }

  // Half of the block's channels in each of its groups.
  int64_t middle_channels(int64_t channels) const { return channels * spec.base_width / 64 * spec.cardinality / 2; }

  NodeId bottleneck(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    const int64_t middle = middle_channels(channels);
    x = relu(scope, scope.batch_norm("bn1", conv1x1(scope, "conv1", x, middle)));
    x = relu(scope, scope.batch_norm("bn2", conv3x3(scope, "conv2", x, middle, stride, spec.cardinality)));
    return scope.batch_norm("bn3", conv1x1(scope, "conv3", x, channels));
  }

  NodeId bottle2neck(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    const int64_t width = middle_channels(channels);
    x = relu(scope, scope.batch_norm("bn1", conv1x1(scope, "conv1", x, width * res2net_scale)));
    x = nn::multi_scale(scope, x, {res2net_scale, stride, spec.cardinality, stride == 1});
    return scope.batch_norm("bn3", conv1x1(scope, "conv3", x, channels));
  }

  NodeId block(const Scope& scope, NodeId x, NodeId shortcut, int64_t channels, int64_t stride) const {
    switch (spec.block) {
      case Block::basic:
        x = basic(scope, x, channels, stride);
        break;
      case Block::bottleneck:
        x = bottleneck(scope, x, channels, stride);
        break;
      case Block::bottle2neck:
        x = bottle2neck(scope, x, channels, stride);
        break;
    }
    return relu(scope, scope.add(x, shortcut));
  }

  NodeId root(const Scope& scope, const std::vector<NodeId>& children, int64_t channels) const {
    NodeId x = scope.batch_norm("bn", conv1x1(scope, "conv", scope.concat(children), channels));
    if (spec.shortcut_root) x = scope.add(x, children[0]);
    return relu(scope, x);
  }

  // `children` are results of the trees above, which the root at the bottom aggregates.
  NodeId tree(const Scope& scope, NodeId x, const TreeOptions& options, std::vector<NodeId> children = {}) const {
    const auto [levels, channels, stride, level_root] = options;
    const bool project = scope.channels(x) != channels;
    NodeId bottom = x;
    if (stride > 1) {
      bottom = scope.max_pool("downsample", x, {.kernel = {stride, stride}, .stride = {stride, stride}});
    }
    if (level_root) children.push_back(bottom);
    if (levels > 1) {
      // The authors' weights have a projection here that takes no part.
      if (project) network.unused_modules.push_back(scope["project"].path());
      const NodeId x1 = tree(scope["tree1"], x, {levels - 1, channels, stride});
      children.push_back(x1);
      return tree(scope["tree2"], x1, {levels - 1, channels, 1}, std::move(children));
    }
    NodeId shortcut = bottom;
    if (project) {
      const Scope projection = scope["project"];
      shortcut = projection.batch_norm("1", conv1x1(projection, "0", bottom, channels));
    }
    const NodeId x1 = block(scope["tree1"], x, shortcut, channels, stride);
    const NodeId x2 = block(scope["tree2"], x1, x1, channels, 1);
    children.insert(children.begin(), {x2, x1});
    return root(scope["root"], children, channels);
  }

  NodeId conv_level(const Scope& scope, NodeId x, int64_t channels, int64_t convs, int64_t stride) const {
    for (int64_t i = 0; i < convs; ++i) {
      x = conv3x3(scope, std::to_string(3 * i), x, channels, i == 0 ? stride : 1);
      x = relu(scope, scope.batch_norm(std::to_string(3 * i + 1), x));
    }
    return x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph), base = root["base_layer"];
  const Builder builder{spec, network};

  network.input = root.input(options.in_chans);
  NodeId x =
      base.conv2d("0", network.input, {.out_channels = spec.channels[0], .kernel = 7, .padding = nn::padding(3)});
  x = builder.relu(base, base.batch_norm("1", x));
  for (size_t i = 0; i < spec.levels.size(); ++i) {
    const std::string name = "level" + std::to_string(i);
    x = i < 2 ? builder.conv_level(root[name], x, spec.channels[i], spec.levels[i], i == 0 ? 1 : 2)
              : builder.tree(root[name], x, {spec.levels[i], spec.channels[i], 2, i > 2});
    network.add_level(x, 1 << i, name);
  }
  network.out_indices = {1, 2, 3, 4, 5};

  nn::conv_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"dla34", {Block::basic, {1, 1, 1, 2, 2, 1}, {16, 32, 64, 128, 256, 512}}},
    {"dla46_c", {Block::bottleneck, {1, 1, 1, 2, 2, 1}, {16, 32, 64, 64, 128, 256}}},
    {"dla46x_c", {Block::bottleneck, {1, 1, 1, 2, 2, 1}, {16, 32, 64, 64, 128, 256}, 32, 4}},
    {"dla60", {Block::bottleneck, {1, 1, 1, 2, 3, 1}, {16, 32, 128, 256, 512, 1024}}},
    {"dla60_res2net", {Block::bottle2neck, {1, 1, 1, 2, 3, 1}, {16, 32, 128, 256, 512, 1024}, 1, 28}},
    {"dla60_res2next", {Block::bottle2neck, {1, 1, 1, 2, 3, 1}, {16, 32, 128, 256, 512, 1024}, 8, 4}},
    {"dla60x", {Block::bottleneck, {1, 1, 1, 2, 3, 1}, {16, 32, 128, 256, 512, 1024}, 32, 4}},
    {"dla60x_c", {Block::bottleneck, {1, 1, 1, 2, 3, 1}, {16, 32, 64, 64, 128, 256}, 32, 4}},
    {"dla102", {Block::bottleneck, {1, 1, 1, 3, 4, 1}, {16, 32, 128, 256, 512, 1024}, 1, 64, true}},
    {"dla102x", {Block::bottleneck, {1, 1, 1, 3, 4, 1}, {16, 32, 128, 256, 512, 1024}, 32, 4, true}},
    {"dla102x2", {Block::bottleneck, {1, 1, 1, 3, 4, 1}, {16, 32, 128, 256, 512, 1024}, 64, 4, true}},
    {"dla169", {Block::bottleneck, {1, 1, 2, 3, 5, 1}, {16, 32, 128, 256, 512, 1024}, 1, 64, true}},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family dla_family{"dla", names_of(variants), build_variant};

}  // namespace wimm
