// Inception-v4 (timm/models/inception_v4.py). Paper: arXiv 1602.07261.
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

NodeId mixed_3a(const Scope& scope, NodeId x) {
  const NodeId pooled = max_pool(scope, "maxpool", x);
  return scope.concat({pooled, conv(scope, "conv", x, {96, 3, 2})});
}

NodeId mixed_4a(const Scope& scope, NodeId x) {
  const NodeId branch0 = branch(scope["branch0"], x, {{64}, {.channels = 96, .kernel = 3, .padded = false}});
  const NodeId branch1 =
      branch(scope["branch1"], x, {{64}, {64, {1, 7}}, {64, {7, 1}}, {.channels = 96, .kernel = 3, .padded = false}});
  return scope.concat({branch0, branch1});
}

NodeId mixed_5a(const Scope& scope, NodeId x) {
  const NodeId reduced = conv(scope, "conv", x, {192, 3, 2});
  return scope.concat({reduced, max_pool(scope, "maxpool", x)});
}

NodeId inception_a(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {96});
  const NodeId branch1 = branch(scope["branch1"], x, {{64}, {96, 3}});
  const NodeId branch2 = branch(scope["branch2"], x, {{64}, {96, 3}, {96, 3}});
  return scope.concat({branch0, branch1, branch2, pool_branch(scope["branch3"], x, 96)});
}

NodeId reduction_a(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {384, 3, 2});
  const NodeId branch1 = branch(scope["branch1"], x, {{192}, {224, 3}, {256, 3, 2}});
  return scope.concat({branch0, branch1, max_pool(scope, "branch2", x)});
}

NodeId inception_b(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {384});
  const NodeId branch1 = branch(scope["branch1"], x, {{192}, {224, {1, 7}}, {256, {7, 1}}});
  const NodeId branch2 =
      branch(scope["branch2"], x, {{192}, {192, {7, 1}}, {224, {1, 7}}, {224, {7, 1}}, {256, {1, 7}}});
  return scope.concat({branch0, branch1, branch2, pool_branch(scope["branch3"], x, 128)});
}

NodeId reduction_b(const Scope& scope, NodeId x) {
  const NodeId branch0 = branch(scope["branch0"], x, {{192}, {192, 3, 2}});
  const NodeId branch1 = branch(scope["branch1"], x, {{256}, {256, {1, 7}}, {320, {7, 1}}, {320, 3, 2}});
  return scope.concat({branch0, branch1, max_pool(scope, "branch2", x)});
}

NodeId inception_c(const Scope& scope, NodeId x) {
  const NodeId branch0 = conv(scope, "branch0", x, {256});
  const NodeId branch1 = conv(scope, "branch1_0", x, {384});
  const NodeId branch1_a = conv(scope, "branch1_1a", branch1, {256, {1, 3}});
  const NodeId branch1_b = conv(scope, "branch1_1b", branch1, {256, {3, 1}});
  NodeId branch2 = conv(scope, "branch2_0", x, {384});
  branch2 = conv(scope, "branch2_1", branch2, {448, {3, 1}});
  branch2 = conv(scope, "branch2_2", branch2, {512, {1, 3}});
  const NodeId branch2_a = conv(scope, "branch2_3a", branch2, {256, {1, 3}});
  const NodeId branch2_b = conv(scope, "branch2_3b", branch2, {256, {3, 1}});
  const NodeId branch3 = pool_branch(scope["branch3"], x, 256);
  return scope.concat({branch0, branch1_a, branch1_b, branch2_a, branch2_b, branch3});
}

// Blocks alike; the last one is a level of feature_info where a reduction is given.
struct Stage {
  NodeId (*block)(const Scope& scope, NodeId x);
  int repeats = 1;
  int64_t reduction = 0;
};

constexpr Stage stages[] = {{mixed_3a, 1, 4}, {mixed_4a},           {mixed_5a},    {inception_a, 4, 8},
                            {reduction_a},    {inception_b, 7, 16}, {reduction_b}, {inception_c, 3, 32}};

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph), features = root["features"];
  const auto level = [&](NodeId node, int64_t reduction, int64_t index) {
    network.add_level(node, reduction, features[index].path());
  };

  network.input = root.input(options.in_chans);
  NodeId x = conv(features, "0", network.input, {32, 3, 2});
  x = conv(features, "1", x, {.channels = 32, .kernel = 3, .padded = false});
  x = conv(features, "2", x, {64, 3});
  level(x, 2, 2);
  int64_t index = 3;
  for (const Stage& stage : stages) {
    for (int i = 0; i < stage.repeats; ++i) x = stage.block(features[index++], x);
    if (stage.reduction > 0) level(x, stage.reduction, index - 1);
  }

  nn::linear_classifier_head(network, root, "last_linear", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"inception_v4"};

}  // namespace

extern constinit const Family inception_v4_family{"inception_v4", names_of(variants), build_variant};

}  // namespace wimm
