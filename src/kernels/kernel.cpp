// The kernel for each operation.
#include "kernels/kernel.h"

#include "graph/overloaded.h"

namespace wimm {

bool runs_in_place(const Op& op) {
  return std::holds_alternative<Activate>(op) || std::holds_alternative<Binary>(op) ||
         std::holds_alternative<Affine>(op) || std::holds_alternative<AddPositions>(op) ||
         std::holds_alternative<DifferentialMix>(op);
}

bool is_view(const Op& op, const Shape& input) {
  if (std::holds_alternative<ToTokens>(op) || std::holds_alternative<ToImage>(op)) return true;
  if (const auto* pool = std::get_if<AdaptiveAvgPool>(&op))
    return input.size() == 4 && input[1] >= pool->at_least[0] && input[2] >= pool->at_least[1];
  return std::holds_alternative<Flatten>(op) && input.size() == 4 && input[1] * input[2] == 1;
}

std::unique_ptr<Kernel> make_kernel(const Graph& graph, NodeId id, ParameterReader& reader) {
  const Node& node = graph.nodes[id];
  const int64_t channels = node.inputs.empty() ? node.channels : graph.nodes[node.inputs[0]].channels;
  using Made = std::unique_ptr<Kernel>;
  return std::visit(Overloaded{
                        [](const Input&) -> Made { return nullptr; },
                        [](const ToTokens&) -> Made { return nullptr; },
                        [](const ToImage&) -> Made { return nullptr; },
                        [&](const Affine& op) { return make_kernel(op, channels, node.name, reader); },
                        [&](const Conv2d& op) { return make_kernel(op, channels, node.name, reader); },
                        [&](const Linear& op) { return make_kernel(op, channels, node.name, reader); },
                        [&](const GroupNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const LayerNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const RmsNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const EvoNormS0& op) { return make_kernel(op, channels, reader); },
                        [&](const FilterResponseNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const ChannelConv& op) { return make_kernel(op, reader); },
                        [&](const LearnedTokens& op) { return make_kernel(op, reader); },
                        [&](const AddPositions& op) { return make_kernel(op, reader); },
                        [&](const DifferentialMix& op) { return make_kernel(op, reader); },
                        [](const auto& op) { return make_kernel(op); },
                    },
                    node.op);
}

}  // namespace wimm
