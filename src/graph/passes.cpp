// One walk in topological order: a node that its producer can absorb is absorbed.
#include "graph/passes.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

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

// Whether their sum is one convolution, with a's geometry: b's windows lie in the middle of a's.
bool covers(const Conv2d& a, const Conv2d& b) {
  const auto centred = [](int64_t kernel_a, int64_t kernel_b, int64_t padding_a, int64_t padding_b) {
    return kernel_a >= kernel_b && (kernel_a - kernel_b) % 2 == 0 && padding_a - padding_b == (kernel_a - kernel_b) / 2;
  };
  return a.out_channels == b.out_channels && a.stride == b.stride && a.dilation == Size2d{1, 1} &&
         b.dilation == Size2d{1, 1} && !a.padding.same && !b.padding.same && b.groups % a.groups == 0 &&
         centred(a.kernel[0], b.kernel[0], a.padding.top, b.padding.top) &&
         centred(a.kernel[0], b.kernel[0], a.padding.bottom, b.padding.bottom) &&
         centred(a.kernel[1], b.kernel[1], a.padding.left, b.padding.left) &&
         centred(a.kernel[1], b.kernel[1], a.padding.right, b.padding.right);
}

// What `id` computes of `source`, as a convolution.
std::optional<Conv2d> as_conv(const Graph& graph, NodeId id, NodeId source) {
  const int64_t channels = graph.nodes[source].channels;
  Conv2d identity{.out_channels = channels, .groups = channels};
  if (id == source) return identity;
  const Node& node = graph.nodes[id];
  if (node.inputs.size() != 1 || node.inputs[0] != source) return std::nullopt;
  if (const auto* conv = std::get_if<Conv2d>(&node.op))
    return conv->activation == Activation::identity ? std::optional(*conv) : std::nullopt;
  const auto* affine = std::get_if<Affine>(&node.op);
  if (affine == nullptr || affine->activation != Activation::identity) return std::nullopt;
  identity.folded = {*affine};
  return identity;
}

// The convolution that is the sum of two branches, of which the first is the larger, if there is one.
std::optional<Conv2d> merge(const Conv2d& a, const Conv2d& b) {
  if (!covers(a, b)) return covers(b, a) ? merge(b, a) : std::nullopt;
  Conv2d sum{
      .out_channels = a.out_channels, .kernel = a.kernel, .stride = a.stride, .padding = a.padding, .groups = a.groups};
  for (const Conv2d& part : {a, b}) {
    if (!part.branches.empty() && part.folded.empty())
      sum.branches.insert(sum.branches.end(), part.branches.begin(), part.branches.end());
    else
      sum.branches.push_back(part);
  }
  return sum;
}

// Where the node adds branches of one value that are convolutions, or the value itself, lets the first convolution
// compute the sum, and returns it.
std::optional<NodeId> merge_sum(Graph& graph, NodeId id, std::vector<int>& uses) {
  const Node& node = graph.nodes[id];
  const auto* binary = std::get_if<Binary>(&node.op);
  if (binary == nullptr || binary->kind != Binary::Kind::add) return std::nullopt;
  for (const auto& [first, second] : {std::pair{0, 1}, std::pair{1, 0}}) {
    const NodeId a = node.inputs[static_cast<size_t>(first)], b = node.inputs[static_cast<size_t>(second)];
    if (!std::holds_alternative<Conv2d>(graph.nodes[a].op) || uses[a] != 1) continue;
    const NodeId source = graph.nodes[a].inputs[0];
    if (b != source && uses[b] != 1) continue;
    const std::optional<Conv2d> conv = as_conv(graph, a, source), other = as_conv(graph, b, source);
    std::optional<Conv2d> sum = conv && other ? merge(*conv, *other) : std::nullopt;
    if (!sum) continue;
    graph.nodes[a].op = *std::move(sum);
    uses[a] = uses[id];
    --uses[source];  // which the other branch read
    return a;
  }
  return std::nullopt;
}

bool is_identity(const Op& op) {
  const auto* activate = std::get_if<Activate>(&op);
  return activate && activate->activation == Activation::identity;
}

// 3×3 of stride 1 or 2, and 5×5 and lines of three or seven of stride 1.
bool has_winograd(const Conv2d& op) {
  const auto [height, width] = op.kernel;
  const bool line = std::min(height, width) == 1 && (height + width == 4 || height + width == 8);
  const bool square = height == width && (height == 3 || height == 5);
  return ((line || square) && op.stride == Size2d{1, 1}) || (op.kernel == Size2d{3, 3} && op.stride == Size2d{2, 2});
}

// Fewer channels do not repay the transforms; more would take too much memory, as the weights become up to four times
// as large. Nets of standardised weights amplify rounding errors, Winograd's most of all.
bool suits_winograd(const Conv2d& op, int64_t channels) {
  const auto fits = [](int64_t count) { return count >= 16 && count % 4 == 0; };
  return has_winograd(op) && op.dilation == Size2d{1, 1} && op.groups == 1 && !op.standardize && fits(channels) &&
         fits(op.out_channels) && channels * op.out_channels <= 512 * 512;
}

// Pixels across a tile, none where Winograd's algorithm gains nothing. Each pixel, or product of a tile, takes a
// multiplication by each weight, and to read one costs as much as some ten of those. Where there are many filters, more
// weights than F(2×2, 3×3) has would take too much memory.
int64_t winograd_tile(const Conv2d& op, int64_t channels, const Shape& output) {
  if (op.kernel != Size2d{3, 3}) return op.kernel == Size2d{5, 5} ? 2 : 4;
  const bool many = channels * op.out_channels > 256 * 256, strided = op.stride[0] == 2;
  if (output.empty()) return many ? 2 : 4;
  const auto cost = [&](int64_t tile) {
    if (tile == 0) return 9 * (output[1] * output[2] + 10);
    const int64_t products = strided ? 2 * tile + 1 : tile + 2, weights = tile + 2;
    return products * products * ((output[1] + tile - 1) / tile) * ((output[2] + tile - 1) / tile) +
           weights * weights * 10;
  };
  if (many) return std::ranges::min({2, 0}, {}, cost);
  return strided ? std::ranges::min({4, 2, 0}, {}, cost) : std::ranges::min({4, 3, 2}, {}, cost);
}

// By node: how many of those that are needed, and outputs, read it.
std::vector<int> count_uses(const Graph& graph, const std::vector<bool>& needed, std::span<const NodeId> outputs) {
  std::vector<int> uses(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (needed[i])
      for (NodeId input : graph.nodes[i].inputs) ++uses[input];
  for (NodeId id : outputs)
    if (id != no_id) ++uses[id];
  return uses;
}

// Smaller maps stay in the second cache, or nearly, and whole ones make better matrix products.
bool suits_expansion(const Conv2d& pointwise, const Conv2d& depthwise, const Shape& map) {
  constexpr int64_t least_floats = 200 << 10;
  return is_pointwise(pointwise) && pointwise.stride == Size2d{1, 1} && !pointwise.int8 &&
         is_depthwise(depthwise, pointwise.out_channels) && element_count(map) >= least_floats;
}

// To quantise a row and to scale its sums back costs as much as some twenty products of each number.
bool suits_int8(int64_t depth, int64_t columns) { return std::min(depth, columns) >= 24; }

// Few channels are an image's, which keeps its precision.
bool suits_int8(const Conv2d& op, int64_t channels) {
  return op.groups == 1 && channels >= 16 && suits_int8(op.kernel[0] * op.kernel[1] * channels, op.out_channels);
}

}  // namespace

void select_int8(Graph& graph, bool over_winograd) {
  for (Node& node : graph.nodes) {
    if (node.inputs.empty()) continue;
    const int64_t channels = graph.nodes[node.inputs[0]].channels;
    if (auto* conv = std::get_if<Conv2d>(&node.op))
      conv->int8 = suits_int8(*conv, channels) && (over_winograd || conv->winograd_tile <= 2 || conv->stride[0] == 2);
    if (auto* linear = std::get_if<Linear>(&node.op)) linear->int8 = suits_int8(channels, linear->out_features);
  }
}

void select_winograd(Graph& graph, std::span<const Shape> shapes) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    auto* conv = std::get_if<Conv2d>(&graph.nodes[i].op);
    if (!conv) continue;
    const int64_t channels = graph.nodes[graph.nodes[i].inputs[0]].channels;
    if (suits_winograd(*conv, channels))
      conv->winograd_tile = winograd_tile(*conv, channels, shapes.empty() ? Shape{} : shapes[i]);
  }
}

void fuse_expansions(Graph& graph, std::span<const NodeId> outputs, std::span<const Shape> shapes) {
  const std::vector<int> uses = count_uses(graph, needed_nodes(graph, outputs), outputs);
  for (size_t i = 0; i < graph.nodes.size() && !shapes.empty(); ++i) {
    Node& node = graph.nodes[i];
    auto* conv = std::get_if<Conv2d>(&node.op);
    if (!conv || uses[i] == 0) continue;
    const NodeId map = node.inputs[0];
    const Node& producer = graph.nodes[map];
    const auto* pointwise = std::get_if<Conv2d>(&producer.op);
    if (!pointwise || uses[map] != 1 || !suits_expansion(*pointwise, *conv, shapes[map])) continue;
    conv->expansion = {*pointwise};
    conv->expansion[0].name = producer.name;
    node.inputs = producer.inputs;
  }
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
  std::vector<int> uses = count_uses(network.graph, needed, outputs);

  std::vector<NodeId> replaced_by(nodes.size());
  std::iota(replaced_by.begin(), replaced_by.end(), 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (NodeId& input : nodes[i].inputs) input = replaced_by[input];
    if (const std::optional<NodeId> sum =
            needed[i] ? merge_sum(network.graph, static_cast<NodeId>(i), uses) : std::nullopt)
      replaced_by[i] = *sum;
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
