// What to run for one input shape, and where its values lie in memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"

namespace wimm {

// Kernels by node; null where a node needs none.
using Kernels = std::vector<std::unique_ptr<Kernel>>;

// The nodes between a source and some outputs, in order, and one arena in which values share memory by lifetime.
struct Plan {
  NodeId source;
  std::vector<NodeId> outputs;
  Shape input_shape;            // channels-last
  std::vector<NodeId> steps;    // nodes whose kernels run
  std::vector<Shape> shapes;    // by node; empty where the plan does not use it
  std::vector<size_t> offsets;  // by node: floats from the start of the arena to its value
  size_t arena_floats = 0;      // values
  size_t workspace_bytes = 0;   // behind them
};

// Errors: input_shape, limit_exceeded.
Plan make_plan(const Graph& graph, const Kernels& kernels, NodeId source, std::span<const NodeId> outputs,
               const Shape& input_shape, ThreadPool& pool);

}  // namespace wimm
