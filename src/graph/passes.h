// Rewrites of a network that leave its results as they are and make them cheaper.
#pragma once

#include <span>

#include "graph/graph.h"

namespace wimm {

// Folds affine steps (batch norm, layer scale) into the convolution before them, and activations into the convolution,
// linear layer or sum before them; drops identities. Values in `outputs` stay available; their ids are updated, as are
// the network's own.
void fuse(Network& network, std::span<NodeId> outputs);

// For each node, whether one of `outputs` needs it.
std::vector<bool> needed_nodes(const Graph& graph, std::span<const NodeId> outputs);

}  // namespace wimm
