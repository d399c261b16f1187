// The shapes of a graph's values, channels-last, for one shape of input.
#pragma once

#include <span>
#include <vector>

#include "graph/graph.h"

namespace wimm {

// A shape [N, C, H, W] as [N, H, W, C], and the way back; others as they are.
Shape channels_last(const Shape& shape);
Shape channels_first(const Shape& shape);

// The padding that a window really has on an input of `size` = {height, width}: `same` resolved, and with ceil_mode the
// bottom and right edges extended so that the last window fits. Never negative.
Padding resolve_padding(Size2d size, Size2d kernel, Size2d stride, Size2d dilation, const Padding& padding,
                        bool ceil_mode);

// The size of a sliding window's output, or throws input_shape (naming `layer`) where the input is too small.
Size2d window_output_size(Size2d size, Size2d kernel, Size2d stride, Size2d dilation, const Padding& padding,
                          bool ceil_mode, std::string_view layer);

// The shape of a node's value from those of its inputs. Errors: input_shape, limit_exceeded.
Shape infer_shape(const Node& node, std::span<const Shape> inputs);

// Those of the nodes that are `needed`, for one shape of the value of `input`.
std::vector<Shape> infer_shapes(const Graph& graph, const std::vector<bool>& needed, NodeId input, const Shape& shape);

// Multiplications (each with an addition) that the node costs.
double multiply_adds(const Node& node, std::span<const Shape> inputs, const Shape& output);

// The operation's name: "conv2d", "linear", …
std::string_view kind_of(const Op& op);

}  // namespace wimm
