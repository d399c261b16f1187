// NASNet-A (timm/models/nasnet.py). Paper: arXiv 1707.07012.
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

using nasnet::activated, nasnet::avg_pool, nasnet::max_pool, nasnet::separable_branch, nasnet::Value;
using nn::Scope;

constexpr int64_t stem_channels = 96, first_channels = 168, cells_per_stage = 6;

// Halves the height and width. `channels` are those of one of the four maps that it gives.
NodeId reduction(const Scope& scope, const Value& current, const Value& previous, int64_t channels) {
  const NodeId left_0 = separable_branch(scope["comb_iter_0_left"], current.relu, channels, 5, 2);
  const NodeId right_0 = separable_branch(scope["comb_iter_0_right"], previous.relu, channels, 7, 2);
  const NodeId sum_0 = scope.add(left_0, right_0);
  const NodeId right_1 = separable_branch(scope["comb_iter_1_right"], previous.relu, channels, 7, 2);
  const NodeId sum_1 = scope.add(max_pool(scope, "comb_iter_1_left", current.raw, 2), right_1);
  const NodeId right_2 = separable_branch(scope["comb_iter_2_right"], previous.relu, channels, 5, 2);
  const NodeId sum_2 = scope.add(avg_pool(scope, "comb_iter_2_left", current.raw, 2), right_2);
  const NodeId sum_3 = scope.add(avg_pool(scope, "comb_iter_3_right", sum_0), sum_1);
  const Scope scope_4 = scope["comb_iter_4_left"];
  const NodeId left_4 = separable_branch(scope_4, activated(scope_4, sum_0).relu, channels, 3);
  const NodeId sum_4 = scope.add(left_4, max_pool(scope, "comb_iter_4_right", current.raw, 2));
  return scope.concat({sum_1, sum_2, sum_3, sum_4});
}

// Keeps the height and width. `channels` are those of one of the six maps that it gives.
NodeId normal(const Scope& scope, const Value& current, const Value& previous, int64_t channels) {
  const NodeId left_0 = separable_branch(scope["comb_iter_0_left"], current.relu, channels, 5);
  const NodeId right_0 = separable_branch(scope["comb_iter_0_right"], previous.relu, channels, 3);
  const NodeId left_1 = separable_branch(scope["comb_iter_1_left"], previous.relu, channels, 5);
  const NodeId right_1 = separable_branch(scope["comb_iter_1_right"], previous.relu, channels, 3);
  const NodeId sum_2 = scope.add(avg_pool(scope, "comb_iter_2_left", current.raw), previous.raw);
  const NodeId left_3 = avg_pool(scope, "comb_iter_3_left", previous.raw);  // timm adds the same pooling twice
  const NodeId left_4 = separable_branch(scope["comb_iter_4_left"], current.relu, channels, 3);
  return scope.concat({previous.raw, scope.add(left_0, right_0), scope.add(left_1, right_1), sum_2,
                       scope.add(left_3, left_3), scope.add(left_4, current.raw)});
}

Value conv_1x1(const Scope& scope, std::string_view name, const Value& x, int64_t channels) {
  return activated(scope[name], nasnet::conv_norm(scope[name], x.relu, channels));
}

Value halved(const Scope& scope, const Value& x, int64_t channels) {
  return activated(scope, nasnet::factorized_reduction(scope, x.relu, channels));
}

// The outputs of the last two cells, from which the next one makes its own.
struct Cells {
  Scope root;
  Value previous, current;

  void push(NodeId next) {
    previous = current;
    current = activated(root, next);
  }

  void stem_0(const Scope& scope, int64_t channels) {
    push(reduction(scope, conv_1x1(scope, "conv_1x1", current, channels), current, channels));
  }

  void stem_1(const Scope& scope, int64_t channels) {
    const Value narrow = conv_1x1(scope, "conv_1x1", current, channels);
    push(reduction(scope, narrow, halved(scope, previous, channels), channels));
  }

  // `previous` stays: the cell that follows halves it.
  void reduce(const Scope& scope, int64_t channels) {
    const Value narrow_previous = conv_1x1(scope, "conv_prev_1x1", previous, channels);
    const Value narrow = conv_1x1(scope, "conv_1x1", current, channels);
    current = activated(root, reduction(scope, narrow, narrow_previous, channels));
  }

  void first(const Scope& scope, int64_t channels) {
    const Value narrow = conv_1x1(scope, "conv_1x1", current, channels);
    push(normal(scope, narrow, halved(scope, previous, channels), channels));
  }

  void next(const Scope& scope, int64_t channels) {
    const Value narrow_previous = conv_1x1(scope, "conv_prev_1x1", previous, channels);
    push(normal(scope, conv_1x1(scope, "conv_1x1", current, channels), narrow_previous, channels));
  }
};

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);

  network.input = root.input(options.in_chans);
  const NodeId stem =
      nn::conv_norm_act(root, "conv0", network.input, {.out_channels = stem_channels, .kernel = 3, .stride = 2},
                        {.activation = Activation::identity, .eps = nasnet::norm_eps});
  network.add_level(stem, 2, "conv0");
  Cells cells{root, {}, activated(root, stem)};
  cells.stem_0(root["cell_stem_0"], first_channels / 4);
  network.add_level(cells.current.relu, 4, "cell_stem_1.conv_1x1.act");
  cells.stem_1(root["cell_stem_1"], first_channels / 2);

  int64_t cell = 0;
  for (int64_t stage = 0; stage < 3; ++stage) {
    const int64_t channels = first_channels << stage;
    if (stage > 0) {
      const std::string name = "reduction_cell_" + std::to_string(stage - 1);
      network.add_level(cells.current.relu, 4 << stage, name + ".conv_1x1.act");
      cells.reduce(root[name], channels);
    }
    for (int64_t i = 0; i < cells_per_stage; ++i) {
      const Scope scope = root["cell_" + std::to_string(cell++)];
      i == 0 ? cells.first(scope, channels) : cells.next(scope, channels);
    }
  }
  const NodeId x = cells.current.relu;
  network.add_level(x, 32, "act");

  nn::linear_classifier_head(network, root, "last_linear", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"nasnetalarge"};

}  // namespace

extern constinit const Family nasnet_family{"nasnet", names_of(variants), build_variant};

}  // namespace wimm
