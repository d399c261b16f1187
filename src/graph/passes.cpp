// One walk in topological order: a node that its producer can absorb is absorbed.
#include "graph/passes.h"

#include <numeric>

namespace wimm {
namespace {

// Where the activation of a producer's result is kept, or null for one that has none.
Activation* fused_activation(Op& op) {
  if (auto* affine = std::get_if<Affine>(&op)) return &affine->activation;
  if (auto* conv = std::get_if<Conv2d>(&op)) return &conv->activation;
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->activation;
  if (auto* mix = std::get_if<MixTokens>(&op)) return &mix->activation;
  if (auto* norm = std::get_if<GroupNorm>(&op)) return &norm->activation;
  if (auto* binary = std::get_if<Binary>(&op)) return &binary->activation;
  return nullptr;
}

// Where the affine steps that a producer's weights absorb are kept, or null for one that has no weights.
std::vector<Affine>* folded_affines(Op& op) {
  if (auto* conv = std::get_if<Conv2d>(&op)) return &conv->folded;
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->folded;
  return nullptr;
}

// Lets `producer` compute what `op` computes of its result.
bool absorb(Op& producer, const Op& op) {
  Activation* activation = fused_activation(producer);
  if (!activation || *activation != Activation::identity) return false;
  if (const auto* activate = std::get_if<Activate>(&op)) {
    *activation = activate->activation;
    return true;
  }
  const auto* affine = std::get_if<Affine>(&op);
  std::vector<Affine>* folded = affine ? folded_affines(producer) : nullptr;
  if (folded) folded->push_back(*affine);
  return folded != nullptr;
}

bool is_identity(const Op& op) {
  const auto* activate = std::get_if<Activate>(&op);
  return activate && activate->activation == Activation::identity;
}

// Fewer channels do not repay the transforms; more would take too much memory, as the weights become four times as
// large. Nets of standardised weights amplify rounding errors, Winograd's most of all.
bool suits_winograd(const Conv2d& op, int64_t channels) {
  const auto fits = [](int64_t count) { return count >= 16 && count % 4 == 0; };
  return op.kernel == Size2d{3, 3} && op.stride == Size2d{1, 1} && op.dilation == Size2d{1, 1} && op.groups == 1 &&
         !op.standardize && !op.padding.same && fits(channels) && fits(op.out_channels) &&
         channels * op.out_channels <= 512 * 512;
}

// Quantising a row costs as much as some twenty columns.
bool suits_int8(int64_t depth, int64_t columns) { return depth >= 16 && columns >= 32; }

// Winograd's larger tiles are faster.
bool suits_int8(const Conv2d& op, int64_t channels) {
  return op.groups == 1 && suits_int8(channels, op.out_channels) &&
         (!op.winograd || channels * op.out_channels > 256 * 256);
}

}  // namespace

void select_int8(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (node.inputs.empty()) continue;
    const int64_t channels = graph.nodes[node.inputs[0]].channels;
    if (auto* conv = std::get_if<Conv2d>(&node.op)) conv->int8 = suits_int8(*conv, channels);
    if (auto* linear = std::get_if<Linear>(&node.op)) linear->int8 = suits_int8(channels, linear->out_features);
  }
}

void select_winograd(Graph& graph) {
  for (Node& node : graph.nodes)
    if (auto* conv = std::get_if<Conv2d>(&node.op))
      conv->winograd = suits_winograd(*conv, graph.nodes[node.inputs[0]].channels);
}

std::vector<bool> needed_nodes(const Graph& graph, std::span<const NodeId> outputs) {
  std::vector<bool> needed(graph.nodes.size());
  for (NodeId id : outputs)
    if (id != no_id) needed[id] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;)
    if (needed[i])
      for (NodeId input : graph.nodes[i].inputs) needed[input] = true;
  return needed;
}

void fuse(Network& network, std::span<NodeId> outputs) {
  auto& nodes = network.graph.nodes;
  const std::vector<bool> needed = needed_nodes(network.graph, outputs);
  std::vector<int> uses(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    if (needed[i])
      for (NodeId input : nodes[i].inputs) ++uses[input];
  for (NodeId id : outputs)
    if (id != no_id) ++uses[id];

  std::vector<NodeId> replaced_by(nodes.size());
  std::iota(replaced_by.begin(), replaced_by.end(), 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (NodeId& input : nodes[i].inputs) input = replaced_by[input];
    if (nodes[i].inputs.size() != 1 || !needed[i]) continue;
    const NodeId producer = nodes[i].inputs[0];
    if (is_identity(nodes[i].op)) {
      uses[producer] += uses[i] - 1;
    } else if (uses[producer] == 1 && absorb(nodes[producer].op, nodes[i].op)) {
      uses[producer] = uses[i];
    } else {
      continue;
    }
    replaced_by[i] = producer;
  }
  const auto update = [&](NodeId& id) {
    if (id != no_id) id = replaced_by[id];
  };
  for (NodeId& id : outputs) update(id);
  for (NodeId* id : {&network.features, &network.pre_logits, &network.logits}) update(*id);
  for (FeatureInfo& level : network.feature_info) update(level.node);
}

}  // namespace wimm
