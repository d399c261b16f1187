// Choosing the values that lie in others.
#include "runtime/parts.h"

#include "kernels/kernel.h"

namespace wimm {

void place_parts(Graph& graph, const std::vector<bool>& needed) {
  auto& nodes = graph.nodes;
  std::vector<bool> readable(nodes.size(), true);  // as a part, by all that read it
  for (size_t i = 0; i < nodes.size(); ++i)
    if (needed[i] && !reads_parts(nodes[i].op))
      for (NodeId input : nodes[i].inputs) readable[input] = false;

  for (size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    if (!needed[i]) continue;
    if (const auto* slice = std::get_if<Slice>(&node.op); slice && readable[i]) {
      node.part = {node.inputs[0], slice->begin};
    } else if (std::holds_alternative<Concat>(node.op)) {
      int64_t begin = 0;
      for (NodeId input : node.inputs) {
        Node& source = nodes[input];
        if (!source.part && readable[input] && writes_parts(source.op)) source.part = {static_cast<NodeId>(i), begin};
        begin += source.channels;
      }
    }
  }

  // What lies in a part lies in its whole.
  for (Node& node : nodes)
    while (node.part && nodes[node.part->whole].part) {
      const Part& outer = *nodes[node.part->whole].part;
      node.part = {outer.whole, outer.begin + node.part->begin};
    }
}

}  // namespace wimm
