// Inception-ResNet-v2 (timm/models/inception_resnet_v2.py). Papers: arXiv 1602.07261; adversarial training: 1705.07204.
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/inception_blocks.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using inception::branch, inception::conv, inception::max_pool, inception::pool_branch;
using nn::Scope;

NodeId mixed_5b(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {96});
  const NodeId branch1 = branch(scope["branch1"], x, {{48}, {64, 5}});
  const NodeId branch2 = branch(scope["branch2"], x, {{64}, {96, 3}, {96, 3}});
  return scope.concat({branch0, branch1, branch2, pool_branch(scope["branch3"], x, 64)});
}

NodeId mixed_6a(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {384, 3, 2});
  const NodeId branch1 = branch(scope["branch1"], x, {{256}, {256, 3}, {384, 3, 2}});
  return scope.concat({branch0, branch1, max_pool(scope, "branch2", x)});
}

NodeId mixed_7a(const Scope& scope, NodeId x) {
  const NodeId branch0 = branch(scope["branch0"], x, {{256}, {384, 3, 2}});
  const NodeId branch1 = branch(scope["branch1"], x, {{256}, {288, 3, 2}});
  const NodeId branch2 = branch(scope["branch2"], x, {{256}, {288, 3}, {320, 3, 2}});
  return scope.concat({branch0, branch1, branch2, max_pool(scope, "branch3", x)});
}

// x + scale · conv2d(concatenated branches).
NodeId residual(const Scope& scope, NodeId x, std::vector<NodeId> branches, float scale) {
  const NodeId mixed =
      scope.conv2d("conv2d", scope.concat(std::move(branches)), {.out_channels = scope.channels(x), .bias = true});
  return scope.add(scope.scale(mixed, scale), x);
}

NodeId block_35(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {32});
  const NodeId branch1 = branch(scope["branch1"], x, {{32}, {32, 3}});
  const NodeId branch2 = branch(scope["branch2"], x, {{32}, {48, 3}, {64, 3}});
  return scope.activate("act", residual(scope, x, {branch0, branch1, branch2}, 0.17f), Activation::relu);
}

NodeId block_17(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {192});
  const NodeId branch1 = branch(scope["branch1"], x, {{128}, {160, {1, 7}}, {192, {7, 1}}});
  return scope.activate("act", residual(scope, x, {branch0, branch1}, 0.1f), Activation::relu);
}

NodeId block_8(const Scope& scope, NodeId x, float scale) {
  const NodeId branch0 = conv(scope, "branch0", x, {192});
  const NodeId branch1 = branch(scope["branch1"], x, {{192}, {224, {1, 3}}, {256, {3, 1}}});
  return residual(scope, x, {branch0, branch1}, scale);
}

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);

  network.input = root.input(options.in_chans);
  NodeId x = conv(root, "conv2d_1a", network.input, {32, 3, 2});
  x = conv(root, "conv2d_2a", x, {.channels = 32, .kernel = 3, .padded = false});
  x = conv(root, "conv2d_2b", x, {64, 3});
  network.add_level(x, 2, "conv2d_2b");
  x = max_pool(root, "maxpool_3a", x);
  x = conv(root, "conv2d_3b", x, {80});
  x = conv(root, "conv2d_4a", x, {.channels = 192, .kernel = 3, .padded = false});
  network.add_level(x, 4, "conv2d_4a");
  x = max_pool(root, "maxpool_5a", x);
  x = mixed_5b(root["mixed_5b"], x);
  for (int i = 0; i < 10; ++i) x = block_35(root["repeat"][i], x);
  network.add_level(x, 8, "repeat");
  x = mixed_6a(root["mixed_6a"], x);
  for (int i = 0; i < 20; ++i) x = block_17(root["repeat_1"][i], x);
  network.add_level(x, 16, "repeat_1");
  x = mixed_7a(root["mixed_7a"], x);
  for (int i = 0; i < 9; ++i) {
    const Scope block = root["repeat_2"][i];
    x = block.activate("relu", block_8(block, x, 0.2f), Activation::relu);
  }
  x = block_8(root["block8"], x, 1);
  x = conv(root, "conv2d_7b", x, {1536});
  network.add_level(x, 32, "conv2d_7b");

  nn::linear_classifier_head(network, root, "classif", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"inception_resnet_v2"};

}  // namespace

extern constinit const Family inception_resnet_v2_family{"inception_resnet_v2", names_of(variants), build_variant};

}  // namespace wimm
