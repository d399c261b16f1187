// PNASNet-5 (timm/models/pnasnet.py). Paper: arXiv 1712.00559.
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/nasnet_blocks.h"
#include "models/variants.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nasnet::activated, nasnet::conv_norm, nasnet::max_pool, nasnet::separable_branch, nasnet::Value;
using nn::Scope;

constexpr int64_t stem_channels = 96, first_channels = 216, cells_per_stage = 4;

// The five sums of a cell. The stem's left value still has to be brought to `channels`.
NodeId combine(const Scope& scope, const Value& left, const Value& right, int64_t channels, int64_t stride) {
  const NodeId left_0 = separable_branch(scope["comb_iter_0_left"], left.relu, channels, 5, stride);
  NodeId right_0;
  if (scope.channels(left.raw) == channels) {
    right_0 = max_pool(scope, "comb_iter_0_right", left.raw, stride);
  } else {
    const Scope projection = scope["comb_iter_0_right"];
    right_0 = conv_norm(projection, max_pool(projection, "max_pool", left.raw, stride), channels);
  }
  const NodeId left_1 = separable_branch(scope["comb_iter_1_left"], right.relu, channels, 7, stride);
  const NodeId pooled = max_pool(scope, "comb_iter_1_right", right.raw, stride);
  const NodeId left_2 = separable_branch(scope["comb_iter_2_left"], right.relu, channels, 5, stride);
  const NodeId right_2 = separable_branch(scope["comb_iter_2_right"], right.relu, channels, 3, stride);
  const NodeId sum_2 = scope.add(left_2, right_2);
  const Scope scope_3 = scope["comb_iter_3_left"];
  const NodeId left_3 = separable_branch(scope_3, activated(scope_3, sum_2).relu, channels, 3);
  const NodeId left_4 = separable_branch(scope["comb_iter_4_left"], left.relu, channels, 3, stride);
  const NodeId right_4 = stride > 1 ? conv_norm(scope["comb_iter_4_right"], right.relu, channels, stride) : right.raw;
  return scope.concat({scope.add(left_0, right_0), scope.add(left_1, pooled), sum_2, scope.add(left_3, pooled),
                       scope.add(left_4, right_4)});
}

Value conv_1x1(const Scope& scope, std::string_view name, const Value& x, int64_t channels) {
  return activated(scope[name], conv_norm(scope[name], x.relu, channels));
}

// A cell on the outputs of the two cells before it; `halve_left` where the left one is larger.
NodeId cell(const Scope& scope, const Value& left, const Value& right, int64_t channels, int64_t stride,
            bool halve_left) {
  const Scope previous = scope["conv_prev_1x1"];
  const Value narrow_left = halve_left
                                ? activated(previous, nasnet::factorized_reduction(previous, left.relu, channels))
                                : conv_1x1(scope, "conv_prev_1x1", left, channels);
  return combine(scope, narrow_left, conv_1x1(scope, "conv_1x1", right, channels), channels, stride);
}

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);

  network.input = root.input(options.in_chans);
  const NodeId stem =
      nn::conv_norm_act(root, "conv_0", network.input, {.out_channels = stem_channels, .kernel = 3, .stride = 2},
                        {.activation = Activation::identity, .eps = nasnet::norm_eps});
  network.add_level(stem, 2, "conv_0");
  Value left = activated(root, stem);
  const Scope stem_0 = root["cell_stem_0"];
  const int64_t channels_0 = first_channels / 4;
  Value right = activated(root, combine(stem_0, left, conv_1x1(stem_0, "conv_1x1", left, channels_0), channels_0, 2));
  network.add_level(right.relu, 4, "cell_stem_1.conv_1x1.act");
  const auto push = [&](NodeId output) {
    left = right;
    right = activated(root, output);
  };
  push(cell(root["cell_stem_1"], left, right, first_channels / 2, 2, true));

  for (int64_t stage = 0, index = 0; stage < 3; ++stage) {
    const int64_t channels = first_channels << stage;
    for (int64_t i = 0; i < cells_per_stage; ++i) {
      const std::string name = "cell_" + std::to_string(index++);
      const bool reduces = stage > 0 && i == 0, halve_left = i == (stage > 0 ? 1 : 0);
      if (reduces) network.add_level(right.relu, 4 << stage, name + ".conv_1x1.act");
      push(cell(root[name], left, right, channels, reduces ? 2 : 1, halve_left));
    }
  }
  network.add_level(right.relu, 32, "act");

  nn::linear_classifier_head(network, root, "last_linear", right.relu, options.global_pool.value_or("avg"),
                             options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"pnasnet5large"};

}  // namespace

extern constinit const Family pnasnet_family{"pnasnet", names_of(variants), build_variant};

}  // namespace wimm
