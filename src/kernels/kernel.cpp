// The kernel for each operation.
#include "kernels/kernel.h"

#include "graph/overloaded.h"

namespace wimm {

bool runs_in_place(const Op& op) {
  return std::holds_alternative<Activate>(op) || std::holds_alternative<Binary>(op) ||
         std::holds_alternative<Affine>(op) || std::holds_alternative<AddPositions>(op) ||
         std::holds_alternative<DifferentialMix>(op) || std::holds_alternative<StarRelu>(op) ||
         std::holds_alternative<AddFourierPositions>(op) || std::holds_alternative<AddGrid>(op);
}

bool is_view(const Op& op, const Shape& input) {
  if (std::holds_alternative<ToTokens>(op) || std::holds_alternative<ToImage>(op) ||
      std::holds_alternative<JoinPatches>(op))
    return true;
  if (const auto* pad = std::get_if<Pad>(&op)) {
    const auto& [same, top, left, bottom, right] = pad->padding;
    const auto fits = [&](size_t axis) { return input[axis + 1] % pad->multiple_of[axis] == 0; };
    return top == 0 && left == 0 && bottom == 0 && right == 0 && input.size() == 4 && fits(0) && fits(1);
  }
  if (const auto* pool = std::get_if<AdaptiveAvgPool>(&op))
    return input.size() == 4 && (pool->only_smaller ? input[1] >= pool->size[0] && input[2] >= pool->size[1]
                                                    : input[1] == pool->size[0] && input[2] == pool->size[1]);
  if (const auto* interpolate = std::get_if<Interpolate>(&op))
    return interpolate->multiple_of != Size2d{1, 1} && input.size() == 4 &&
           input[1] % interpolate->multiple_of[0] == 0 && input[2] % interpolate->multiple_of[1] == 0;
  return std::holds_alternative<Flatten>(op) && input.size() == 4 && input[1] * input[2] == 1;
}

bool reads_parts(const Op& op) {
  return writes_parts(op) || std::holds_alternative<GlobalPool>(op) || std::holds_alternative<MixSplits>(op);
}

bool writes_parts(const Op& op) {
  return std::holds_alternative<Affine>(op) || std::holds_alternative<Conv2d>(op) ||
         std::holds_alternative<Activate>(op) || std::holds_alternative<Binary>(op) ||
         std::holds_alternative<MaxPool>(op) || std::holds_alternative<AvgPool>(op) ||
         std::holds_alternative<Concat>(op) || std::holds_alternative<Slice>(op);
}

namespace {

Strides strides_of(const Graph& graph, NodeId id) {
  Strides strides{{}, graph.pixel_stride(id)};
  for (NodeId input : graph.nodes[id].inputs) strides.inputs.push_back(graph.pixel_stride(input));
  return strides;
}

// The copies that give a concatenation or a slice its value, but for those whose source lies there already.
std::unique_ptr<Kernel> make_channel_copies(const Graph& graph, NodeId id) {
  const Node& node = graph.nodes[id];
  const auto* slice = std::get_if<Slice>(&node.op);
  const Part target = graph.place(id);
  std::vector<ChannelCopy> copies;
  int64_t to = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Part source = graph.place(node.inputs[i]);
    const int64_t from = slice ? slice->begin : 0, size = slice ? slice->size : graph.nodes[node.inputs[i]].channels;
    if (Part{source.whole, source.begin + from} != Part{target.whole, target.begin + to})
      copies.push_back({i, from, size, to});
    to += size;
  }
  return copies.empty() ? nullptr : make_channel_copies(std::move(copies), strides_of(graph, id));
}

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Graph& graph, NodeId id, ParameterReader& reader) {
  const Node& node = graph.nodes[id];
  const Strides strides = strides_of(graph, id);
  const int64_t channels = node.inputs.empty() ? node.channels : graph.nodes[node.inputs[0]].channels;
  using Made = std::unique_ptr<Kernel>;
  return std::visit(Overloaded{
                        [](const Input&) -> Made { return nullptr; },
                        [](const ToTokens&) -> Made { return nullptr; },
                        [](const ToImage&) -> Made { return nullptr; },
                        [](const JoinPatches&) -> Made { return nullptr; },
                        [&](const Affine& op) { return make_kernel(op, channels, strides, node.name, reader); },
                        [&](const Conv2d& op) { return make_kernel(op, channels, strides, node.name, reader); },
                        [&](const Linear& op) { return make_kernel(op, channels, node.name, reader); },
                        [&](const GroupNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const LayerNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const RmsNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const GlobalResponseNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const EvoNormS0& op) { return make_kernel(op, channels, reader); },
                        [&](const FilterResponseNorm& op) { return make_kernel(op, channels, reader); },
                        [&](const ChannelConv& op) { return make_kernel(op, reader); },
                        [&](const LearnedTokens& op) { return make_kernel(op, reader); },
                        [&](const AddPositions& op) { return make_kernel(op, reader); },
                        [&](const AddFourierPositions& op) { return make_kernel(op, reader); },
                        [&](const CrossCovariance& op) { return make_kernel(op, reader); },
                        [&](const GatedAttention& op) { return make_kernel(op, reader); },
                        [&](const Lstm& op) { return make_kernel(op, channels, reader); },
                        [&](const StarRelu& op) { return make_kernel(op, reader); },
                        [&](const MixTokens& op) { return make_kernel(op, reader); },
                        [&](const AddGrid& op) { return make_kernel(op, channels, reader); },
                        [&](const TalkingHeads& op) { return make_kernel(op, reader); },
                        [&](const ConvTranspose2d& op) { return make_kernel(op, channels, reader); },
                        [&](const LambdaLayer& op) { return make_kernel(op, reader); },
                        [&](const AdditivePool& op) { return make_kernel(op, reader); },
                        [&](const RotaryTable& op) { return make_kernel(op, reader); },
                        [&](const Attention& op) { return make_kernel(op, reader); },
                        [&](const DifferentialMix& op) { return make_kernel(op, reader); },
                        [&](const Activate& op) { return make_kernel(op, strides); },
                        [&](const Binary& op) { return make_kernel(op, strides); },
                        [&](const MaxPool& op) { return make_kernel(op, strides); },
                        [&](const AvgPool& op) { return make_kernel(op, strides); },
                        [&](const GlobalPool& op) { return make_kernel(op, strides); },
                        [&](const MixSplits& op) { return make_kernel(op, strides); },
                        [&](const Concat&) { return make_channel_copies(graph, id); },
                        [&](const Slice&) { return make_channel_copies(graph, id); },
                        [](const auto& op) { return make_kernel(op); },
                    },
                    node.op);
}

}  // namespace wimm
