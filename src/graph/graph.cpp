// Adding nodes and parameters to a graph.
#include "graph/graph.h"

#include <utility>

namespace wimm {

NodeId Graph::add(Op op, std::vector<NodeId> inputs, std::string name, int64_t channels) {
  nodes.push_back({std::move(op), std::move(inputs), std::move(name), channels});
  return static_cast<NodeId>(nodes.size()) - 1;
}

ParameterId Graph::add(Parameter parameter) {
  parameters.push_back(std::move(parameter));
  return static_cast<ParameterId>(parameters.size()) - 1;
}

void Network::add_level(NodeId node, int64_t reduction, std::string module) {
  feature_info.push_back({node, graph.nodes[node].channels, reduction, std::move(module)});
}

}  // namespace wimm
