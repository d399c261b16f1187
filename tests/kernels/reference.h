// A naive interpreter of graphs in double precision: the oracle for kernels, passes and plans.
#pragma once

#include <map>
#include <vector>

#include "graph/graph.h"

namespace wimm::testing {

// A value in NCHW order (or [N, C]), so that nothing is shared with the channels-last runtime.
struct Value {
  Shape shape;
  std::vector<double> data;
};

// The parameters of a test graph: seeded noise by parameter id (variances positive).
std::vector<float> test_parameter(const Parameter& parameter, ParameterId id);

// Evaluates every node of `graph` up to `output`, given the input images.
Value evaluate(const Graph& graph, NodeId output, const Value& input);

}  // namespace wimm::testing
