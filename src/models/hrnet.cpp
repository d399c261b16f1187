// High-resolution networks (timm/models/hrnet.py). Paper: arXiv 1908.07919.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  int64_t stem_blocks, stem_channels;  // of layer1, of bottlenecks
  int64_t blocks;                      // basic blocks of each branch of a module
  int64_t modules[3];                  // of the stages of two, three and four branches
  int64_t width;  // channels of the finest branch; each other one has twice those of the one before
  bool head_bias = true;
};

constexpr int64_t expansion = 4, final_channels = 2048;

NodeId relu(const Scope& scope, std::string_view name, NodeId x) { return scope.activate(name, x, Activation::relu); }

NodeId conv1x1(const Scope& scope, std::string_view name, NodeId x, int64_t channels) {
  return scope.conv2d(name, x, {.out_channels = channels});
}

NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1) {
  return scope.conv2d(name, x, {.out_channels = channels, .kernel = 3, .stride = stride, .padding = nn::padding(1)});
}

// Modules "0" and "1" (and "2"): a 3×3 convolution, batch norm (and ReLU).
NodeId conv_norm(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  return scope.batch_norm("1", conv3x3(scope, "0", x, channels, stride));
}
NodeId conv_norm_relu(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  return relu(scope, "2", conv_norm(scope, x, channels, stride));
}

NodeId basic_block(const Scope& scope, NodeId input, int64_t channels) {
  NodeId x = relu(scope, "act1", scope.batch_norm("bn1", conv3x3(scope, "conv1", input, channels)));
  x = scope.batch_norm("bn2", conv3x3(scope, "conv2", x, channels));
  return relu(scope, "act2", scope.add(x, input));
}

NodeId bottleneck(const Scope& scope, NodeId input, int64_t channels) {
  NodeId x = relu(scope, "act1", scope.batch_norm("bn1", conv1x1(scope, "conv1", input, channels)));
  x = relu(scope, "act2", scope.batch_norm("bn2", conv3x3(scope, "conv2", x, channels)));
  x = scope.batch_norm("bn3", conv1x1(scope, "conv3", x, channels * expansion));
  if (scope.channels(input) != channels * expansion) {
    const Scope down = scope["downsample"];
    input = down.batch_norm("1", conv1x1(down, "0", input, channels * expansion));
  }
  return relu(scope, "act3", scope.add(x, input));
}

struct Builder {
  const Spec& spec;

  int64_t channels(size_t branch) const { return spec.width << branch; }

  // What branch `from` adds to branch `to`: itself, an upsampled projection, or strided convolutions.
  NodeId fuse_layer(const Scope& scope, NodeId x, size_t from, size_t to) const {
    if (from > to) {
      x = scope.batch_norm("1", conv1x1(scope, "0", x, channels(to)));
      return scope["2"].node(Upsample{int64_t{1} << (from - to)}, {x}, channels(to));
    }
    for (size_t i = from; i < to; ++i) {
      const Scope step = scope[static_cast<int64_t>(i - from)];
      x = i + 1 < to ? conv_norm_relu(step, x, channels(from), 2) : conv_norm(step, x, channels(to), 2);
    }
    return x;
  }

  std::vector<NodeId> module(const Scope& scope, std::vector<NodeId> branches) const {
    for (size_t i = 0; i < branches.size(); ++i) {
      const Scope branch = scope["branches"][static_cast<int64_t>(i)];
      for (int64_t block = 0; block < spec.blocks; ++block) {
        branches[i] = basic_block(branch[block], branches[i], channels(i));
      }
    }
    std::vector<NodeId> fused;
    for (size_t to = 0; to < branches.size(); ++to) {
      const Scope layers = scope["fuse_layers"][static_cast<int64_t>(to)];
      NodeId sum = fuse_layer(layers["0"], branches[0], 0, to);
      for (size_t from = 1; from < branches.size(); ++from) {
        sum = layers.add(sum, fuse_layer(layers[static_cast<int64_t>(from)], branches[from], from, to));
      }
      fused.push_back(relu(scope, "fuse_act", sum));
    }
    return fused;
  }

  // One more branch, from the coarsest one.
  void transition(const Scope& scope, std::vector<NodeId>& branches) const {
    const size_t index = branches.size();
    branches.push_back(conv_norm_relu(scope[static_cast<int64_t>(index)]["0"], branches.back(), channels(index), 2));
  }

  std::vector<NodeId> stages(const Scope& root, NodeId x) const {
    for (int64_t i = 0; i < spec.stem_blocks; ++i) x = bottleneck(root["layer1"][i], x, spec.stem_channels);
    const Scope transition1 = root["transition1"];
    std::vector<NodeId> branches{conv_norm_relu(transition1["0"], x, channels(0), 1),
                                 conv_norm_relu(transition1["1"]["0"], x, channels(1), 2)};
    for (int64_t stage = 2; stage <= 4; ++stage) {
      if (stage > 2) transition(root["transition" + std::to_string(stage - 1)], branches);
      const Scope scope = root["stage" + std::to_string(stage)];
      for (int64_t i = 0; i < spec.modules[stage - 2]; ++i) branches = module(scope[i], std::move(branches));
    }
    return branches;
  }

  // The branches with more channels, then all of them aggregated from the finest to the coarsest.
  NodeId aggregate(const Scope& root, const std::vector<NodeId>& levels) const {
    NodeId x = levels[0];
    for (size_t i = 1; i < levels.size(); ++i) {
      const Scope down = root["downsamp_modules"][static_cast<int64_t>(i) - 1];
      const NodeId strided = head_conv(
          down, x, {.out_channels = root.channels(levels[i]), .kernel = 3, .stride = 2, .padding = nn::padding(1)});
      x = down.add(levels[i], strided);
    }
    return head_conv(root["final_layer"], x, {.out_channels = final_channels});
  }

  NodeId head_conv(const Scope& scope, NodeId x, nn::ConvOptions options) const {
    options.bias = spec.head_bias;
    return relu(scope, "2", scope.batch_norm("1", scope.conv2d("0", x, options)));
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const Builder builder{spec};

  network.input = root.input(options.in_chans);
  NodeId x = relu(root, "act1", root.batch_norm("bn1", conv3x3(root, "conv1", network.input, 64, 2)));
  network.add_level(x, 2, "stem");
  x = relu(root, "act2", root.batch_norm("bn2", conv3x3(root, "conv2", x, 64, 2)));

  std::vector<NodeId> levels = builder.stages(root, x);
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    levels[i] = bottleneck(root["incre_modules"][index]["0"], levels[i], 32 << index);
    network.feature_info.push_back(
        {levels[i], root.channels(levels[i]), 4 << index, "stage" + std::to_string(index + 1)});
  }

  network.features = builder.aggregate(root, levels);
  network.num_features = final_channels;
  x = nn::select_pool(root, network.features, options.global_pool.value_or("avg"), options.num_classes);
  nn::linear_classifier(network, root, "classifier", x, options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"hrnet_w18_small", {1, 32, 2, {1, 1, 1}, 16}}, {"hrnet_w18_small_v2", {2, 64, 2, {1, 3, 2}, 18}},
    {"hrnet_w18", {4, 64, 4, {1, 4, 3}, 18}},       {"hrnet_w18_ssld", {4, 64, 4, {1, 4, 3}, 18, false}},
    {"hrnet_w30", {4, 64, 4, {1, 4, 3}, 30}},       {"hrnet_w32", {4, 64, 4, {1, 4, 3}, 32}},
    {"hrnet_w40", {4, 64, 4, {1, 4, 3}, 40}},       {"hrnet_w44", {4, 64, 4, {1, 4, 3}, 44}},
    {"hrnet_w48", {4, 64, 4, {1, 4, 3}, 48}},       {"hrnet_w48_ssld", {4, 64, 4, {1, 4, 3}, 48, false}},
    {"hrnet_w64", {4, 64, 4, {1, 4, 3}, 64}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family hrnet_family{"hrnet", names_of(variants), build_variant};

}  // namespace wimm
