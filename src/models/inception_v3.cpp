// Inception-v3 (timm/models/inception_v3.py). Paper: arXiv 1512.00567; adversarially trained weights: 1611.01236.
#include <initializer_list>
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

using inception::conv, inception::max_pool;
using nn::Scope;

// Convolutions "<name>_1", "<name>_2", … one after the other.
NodeId branch(const Scope& scope, const std::string& name, NodeId x, std::initializer_list<inception::Conv> convs) {
  int index = 1;
  for (const inception::Conv& each : convs) x = conv(scope, name + "_" + std::to_string(index++), x, each);
  return x;
}

NodeId pool_branch(const Scope& scope, NodeId x, int64_t channels) {
  x = scope.avg_pool("pool", x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1)});
  return conv(scope, "branch_pool", x, {channels});
}

NodeId inception_a(const Scope& scope, NodeId x, int64_t pool_features) {
  const NodeId branch1x1 = conv(scope, "branch1x1", x, {64});
  const NodeId branch5x5 = branch(scope, "branch5x5", x, {{48}, {64, 5}});
  const NodeId branch3x3dbl = branch(scope, "branch3x3dbl", x, {{64}, {96, 3}, {96, 3}});
  return scope.concat({branch1x1, branch5x5, branch3x3dbl, pool_branch(scope, x, pool_features)});
}

NodeId inception_b(const Scope& scope, NodeId x) {
  const NodeId branch3x3 = conv(scope, "branch3x3", x, {384, 3, 2});
  const NodeId branch3x3dbl = branch(scope, "branch3x3dbl", x, {{64}, {96, 3}, {96, 3, 2}});
  return scope.concat({branch3x3, branch3x3dbl, max_pool(scope, "pool", x)});
}

NodeId inception_c(const Scope& scope, NodeId x, int64_t channels_7x7) {
  const int64_t c7 = channels_7x7;
  const NodeId branch1x1 = conv(scope, "branch1x1", x, {192});
  const NodeId branch7x7 = branch(scope, "branch7x7", x, {{c7}, {c7, {1, 7}}, {192, {7, 1}}});
  const NodeId branch7x7dbl =
      branch(scope, "branch7x7dbl", x, {{c7}, {c7, {7, 1}}, {c7, {1, 7}}, {c7, {7, 1}}, {192, {1, 7}}});
  return scope.concat({branch1x1, branch7x7, branch7x7dbl, pool_branch(scope, x, 192)});
}

NodeId inception_d(const Scope& scope, NodeId x) {
  const NodeId branch3x3 = branch(scope, "branch3x3", x, {{192}, {320, 3, 2}});
  const NodeId branch7x7x3 = branch(scope, "branch7x7x3", x, {{192}, {192, {1, 7}}, {192, {7, 1}}, {192, 3, 2}});
  return scope.concat({branch3x3, branch7x7x3, max_pool(scope, "pool", x)});
}

NodeId inception_e(const Scope& scope, NodeId x) {
  const NodeId branch1x1 = conv(scope, "branch1x1", x, {320});
  const NodeId branch3x3 = conv(scope, "branch3x3_1", x, {384});
  const NodeId branch3x3_a = conv(scope, "branch3x3_2a", branch3x3, {384, {1, 3}});
  const NodeId branch3x3_b = conv(scope, "branch3x3_2b", branch3x3, {384, {3, 1}});
  const NodeId branch3x3dbl = branch(scope, "branch3x3dbl", x, {{448}, {384, 3}});
  const NodeId branch3x3dbl_a = conv(scope, "branch3x3dbl_3a", branch3x3dbl, {384, {1, 3}});
  const NodeId branch3x3dbl_b = conv(scope, "branch3x3dbl_3b", branch3x3dbl, {384, {3, 1}});
  return scope.concat(
      {branch1x1, branch3x3_a, branch3x3_b, branch3x3dbl_a, branch3x3dbl_b, pool_branch(scope, x, 192)});
}

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);

  network.input = root.input(options.in_chans);
  NodeId x = conv(root, "Conv2d_1a_3x3", network.input, {32, 3, 2});
  x = conv(root, "Conv2d_2a_3x3", x, {.channels = 32, .kernel = 3, .padded = false});
  x = conv(root, "Conv2d_2b_3x3", x, {64, 3});
  network.add_level(x, 2, "Conv2d_2b_3x3");
  x = max_pool(root, "Pool1", x);
  x = conv(root, "Conv2d_3b_1x1", x, {80});
  x = conv(root, "Conv2d_4a_3x3", x, {.channels = 192, .kernel = 3, .padded = false});
  network.add_level(x, 4, "Conv2d_4a_3x3");
  x = max_pool(root, "Pool2", x);
  x = inception_a(root["Mixed_5b"], x, 32);
  x = inception_a(root["Mixed_5c"], x, 64);
  x = inception_a(root["Mixed_5d"], x, 64);
  network.add_level(x, 8, "Mixed_5d");
  x = inception_b(root["Mixed_6a"], x);
  x = inception_c(root["Mixed_6b"], x, 128);
  x = inception_c(root["Mixed_6c"], x, 160);
  x = inception_c(root["Mixed_6d"], x, 160);
  x = inception_c(root["Mixed_6e"], x, 192);
  network.add_level(x, 16, "Mixed_6e");
  x = inception_d(root["Mixed_7a"], x);
  x = inception_e(root["Mixed_7b"], x);
  x = inception_e(root["Mixed_7c"], x);
  network.add_level(x, 32, "Mixed_7c");

  network.unused_modules = {"AuxLogits"};
  nn::linear_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"inception_v3"};

}  // namespace

extern constinit const Family inception_v3_family{"inception_v3", names_of(variants), build_variant};

}  // namespace wimm
