// Rewrites of a network that leave its results as they are and make them cheaper.
#pragma once

#include <span>

#include "graph/graph.h"

namespace wimm {

// Folds affine steps (batch norm, layer scale) into the convolution or linear layer before them, and activations into
// the convolution, linear layer, normalisation or sum before them; makes one convolution of branches that are summed;
// drops identities. Values in `outputs` stay available; their ids are updated, as are the network's own.
void fuse(Network& network, std::span<NodeId> outputs);

// Marks the convolutions that Winograd's algorithm computes faster, for values of these shapes (by node; none where
// they are not known). Its rounding error is about ten times that of the direct sum: 1e-5 of the output's range.
void select_winograd(Graph& graph, std::span<const Shape> shapes);

// Marks the convolutions and linear layers that integers compute faster, for models with int8 weights; after
// select_winograd, whose layers of stride 1 in tiles of three pixels or more are among them only if `over_winograd`.
void select_int8(Graph& graph, bool over_winograd);

// Lets depthwise convolutions compute the pointwise ones before them, where the map between the two, for values of
// these shapes (by node; none where they are not known), would be too large for cache. After those above. Values in
// `outputs` stay available.
void fuse_expansions(Graph& graph, std::span<const NodeId> outputs, std::span<const Shape> shapes);

// For each node, whether one of `outputs` needs it.
std::vector<bool> needed_nodes(const Graph& graph, std::span<const NodeId> outputs);

}  // namespace wimm
