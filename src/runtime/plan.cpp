// Planning: order, shapes, lifetimes, and offsets in the arena.
#include "runtime/plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "graph/shapes.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr size_t alignment_floats = 16;

// Memory that one value, or several that follow each other in place, occupies while it lives.
struct Buffer {
  size_t floats = 0, offset = 0;
  size_t first_step = 0, last_step = 0;
};

// Floats for a value, padded so that kernels may read past its end; limit_exceeded where 32-bit offsets would overflow.
size_t floats_for(const Shape& shape, std::string_view layer) {
  constexpr uint64_t limit = std::numeric_limits<ptrdiff_t>::max() / sizeof(float) / 2;
  const uint64_t floats = static_cast<uint64_t>(element_count(shape)) + overread_floats;
  if (floats > limit)
    throw Error(ErrorCode::limit_exceeded, "the value " + to_string(shape) + " of " + std::string(layer) +
                                               " does not fit in memory; use a smaller input");
  return (floats + alignment_floats - 1) / alignment_floats * alignment_floats;
}

class Planner {
 public:
  Planner(const Graph& graph, const Kernels& kernels, Plan& plan) : graph_(graph), kernels_(kernels), plan_(plan) {}

  void run(ThreadPool& pool) {
    select_nodes();
    find_last_uses();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      place(i);
      prepare(nodes_[i], pool);
    }
    assign_offsets();
  }

 private:
  bool is_source(NodeId id) const { return id == plan_.source; }
  Shape input_shape(NodeId id, size_t k) const { return plan_.shapes[graph_.nodes[id].inputs[k]]; }

  // Ancestors of the outputs, stopping at the source.
  void select_nodes() {
    std::vector<bool> needed(graph_.nodes.size());
    for (NodeId id : plan_.outputs) needed[id] = true;
    needed[plan_.source] = true;
    for (size_t i = graph_.nodes.size(); i-- > 0;)
      if (needed[i] && !is_source(static_cast<NodeId>(i)))
        for (NodeId input : graph_.nodes[i].inputs) needed[input] = true;
    for (size_t i = 0; i < needed.size(); ++i)
      if (needed[i]) nodes_.push_back(static_cast<NodeId>(i));
  }

  void find_last_uses() {
    last_use_.assign(graph_.nodes.size(), 0);
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (!is_source(nodes_[i]))
        for (NodeId input : graph_.nodes[nodes_[i]].inputs) last_use_[input] = i;
    for (NodeId id : plan_.outputs) last_use_[id] = nodes_.size();  // read after the last step
  }

  // Gives the node's value its shape and a buffer: that of the value it is part of, its first input's where that ends
  // here, else a new one.
  void place(size_t step) {
    const NodeId id = nodes_[step];
    const Node& node = graph_.nodes[id];
    if (is_source(id)) {
      plan_.shapes[id] = plan_.input_shape;
    } else {
      std::vector<Shape> inputs;
      for (NodeId input : node.inputs) inputs.push_back(plan_.shapes[input]);
      plan_.shapes[id] = infer_shape(node, inputs);
      const NodeId first = node.inputs[0];
      // Its buffer ends here too, unless a view of it lives on.
      const bool dies =
          buffers_[buffer_of_[first]].last_step == step && !(node.inputs.size() > 1 && node.inputs[1] == first);
      const bool in_place =
          runs_in_place(node.op) && dies && inputs[0] == plan_.shapes[id] && !node.part && !graph_.nodes[first].part;
      if (is_view(node.op, inputs[0]) || in_place) return share_buffer(id, buffer_of_[first]);
    }
    const NodeId whole = graph_.place(id).whole;
    if (buffer_of_[whole] != none) return share_buffer(id, buffer_of_[whole]);
    Shape shape = plan_.shapes[id];
    shape.back() = graph_.nodes[whole].channels;
    buffer_of_[id] = buffer_of_[whole] = buffers_.size();
    buffers_.push_back(
        {.floats = floats_for(shape, node.name), .first_step = step, .last_step = std::max(step, last_use_[id])});
  }

  void share_buffer(NodeId id, size_t index) {
    buffer_of_[id] = index;
    Buffer& buffer = buffers_[index];
    buffer.last_step = std::max(buffer.last_step, last_use_[id]);
  }

  void prepare(NodeId id, ThreadPool& pool) {
    const Node& node = graph_.nodes[id];
    if (is_source(id) || !kernels_[id] || is_view(node.op, input_shape(id, 0))) return;
    std::vector<Shape> inputs;
    for (size_t k = 0; k < node.inputs.size(); ++k) inputs.push_back(input_shape(id, k));
    plan_.workspace_bytes = std::max(plan_.workspace_bytes, kernels_[id]->reshape(inputs, plan_.shapes[id], pool));
    plan_.steps.push_back(id);
  }

  // Largest first, each at the lowest offset that no buffer alive at the same time occupies.
  void assign_offsets() {
    std::vector<size_t> order(buffers_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return buffers_[a].floats > buffers_[b].floats; });
    std::vector<const Buffer*> placed;  // by offset
    for (size_t index : order) {
      Buffer& buffer = buffers_[index];
      for (const Buffer* other : placed) {
        const bool together = buffer.first_step <= other->last_step && other->first_step <= buffer.last_step;
        if (!together) continue;
        if (buffer.offset + buffer.floats <= other->offset) break;
        buffer.offset = std::max(buffer.offset, other->offset + other->floats);
      }
      placed.insert(std::upper_bound(placed.begin(), placed.end(), &buffer,
                                     [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; }),
                    &buffer);
      plan_.arena_floats = std::max(plan_.arena_floats, buffer.offset + buffer.floats);
    }
    for (NodeId id : nodes_) plan_.offsets[id] = buffers_[buffer_of_[id]].offset + graph_.place(id).begin;
  }

  const Graph& graph_;
  const Kernels& kernels_;
  Plan& plan_;
  std::vector<NodeId> nodes_;     // by step
  std::vector<size_t> last_use_;  // by node: the last step that reads it
  std::vector<Buffer> buffers_;
  static constexpr size_t none = std::numeric_limits<size_t>::max();
  std::vector<size_t> buffer_of_ = std::vector<size_t>(graph_.nodes.size(), none);  // by node
};

}  // namespace

Plan make_plan(const Graph& graph, const Kernels& kernels, NodeId source, std::span<const NodeId> outputs,
               const Shape& input_shape, ThreadPool& pool) {
  Plan plan;
  plan.source = source;
  plan.outputs.assign(outputs.begin(), outputs.end());
  plan.input_shape = input_shape;
  plan.shapes.resize(graph.nodes.size());
  plan.offsets.resize(graph.nodes.size());
  Planner(graph, kernels, plan).run(pool);
  return plan;
}

}  // namespace wimm
