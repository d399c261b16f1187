// The interface of kernels: one object computes one node of a graph, weights packed inside.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "kernels/thread_pool.h"

namespace wimm {

// Where kernels get their weights when they are made. A parameter is read once by each kernel that has it, and freed.
class ParameterReader {
 public:
  virtual ~ParameterReader() = default;
  // Elements of a parameter as float32, in timm's layout.
  virtual std::vector<float> read(ParameterId id) = 0;
  // For the packing of what was read.
  virtual ThreadPool& pool() { return ThreadPool::shared(1); }
};

// Floats from one pixel (token, row) of a value to the next: its channels, or more where it is part of another value.
struct Strides {
  std::vector<int64_t> inputs;
  int64_t output;
};

// Floats past the end of every block that a kernel may read, never use.
inline constexpr size_t overread_floats = 16;

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Prepares for these shapes. Returns the bytes of workspace that `run` needs.
  virtual size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) = 0;
  // Values are channels-last, contiguous but for the strides that the kernel was made for, each followed by
  // `overread_floats` readable floats.
  virtual void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) = 0;
  // Bytes of packed weights.
  virtual size_t weight_bytes() const { return 0; }
};

// Whether the kernel of `op` may write its output over its first input, if both have the same shape.
bool runs_in_place(const Op& op);
// Whether the value of `op` is its first input under another shape: no kernel runs.
bool is_view(const Op& op, const Shape& input);

// Whether the kernel of `op` can read, or write, a value that is part of another.
bool reads_parts(const Op& op);
bool writes_parts(const Op& op);

// A kernel for a node, or null for views, inputs, and values that others have put in place. Errors: those of `reader`,
// weights_nonfinite, out_of_memory.
std::unique_ptr<Kernel> make_kernel(const Graph& graph, NodeId id, ParameterReader& reader);

// One for each operation; `channels` are those of the first input.
std::unique_ptr<Kernel> make_kernel(const Affine& op, int64_t channels, const Strides& strides, std::string_view layer,
                                    ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Conv2d& op, int64_t channels, const Strides& strides, std::string_view layer,
                                    ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Linear& op, int64_t channels, std::string_view layer,
                                    ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Activate& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const StarRelu& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const GroupNorm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const LayerNorm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const RmsNorm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const GlobalResponseNorm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const EvoNormS0& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const FilterResponseNorm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Binary& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const MaxPool& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const AvgPool& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const AdaptiveAvgPool& op);
std::unique_ptr<Kernel> make_kernel(const AdaptiveMaxPool& op);
std::unique_ptr<Kernel> make_kernel(const GlobalPool& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const PoolChannels& op);
// For Concat and Slice: channels [from, from + size) of an input become those from `to` on.
struct ChannelCopy {
  size_t input;
  int64_t from, size, to;
};
std::unique_ptr<Kernel> make_channel_copies(std::vector<ChannelCopy> copies, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const Upsample& op);
std::unique_ptr<Kernel> make_kernel(const SpaceToDepth& op);
std::unique_ptr<Kernel> make_kernel(const Interpolate& op);
std::unique_ptr<Kernel> make_kernel(const ToPatches& op);
std::unique_ptr<Kernel> make_kernel(const FromPatches& op);
std::unique_ptr<Kernel> make_kernel(const ToWindows& op);
std::unique_ptr<Kernel> make_kernel(const FromWindows& op);
std::unique_ptr<Kernel> make_kernel(const ConvTranspose2d& op, int64_t in_channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const LambdaLayer& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const UnitNorm& op);
std::unique_ptr<Kernel> make_kernel(const AdditivePool& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const PoolTokens& op);
std::unique_ptr<Kernel> make_kernel(const SoftmaxTokens& op);
std::unique_ptr<Kernel> make_kernel(const MatMul& op);
std::unique_ptr<Kernel> make_kernel(const Pad& op);
std::unique_ptr<Kernel> make_kernel(const Crop& op);
std::unique_ptr<Kernel> make_kernel(const Resize& op);
std::unique_ptr<Kernel> make_kernel(const Patches& op);
std::unique_ptr<Kernel> make_kernel(const ChannelConv& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const LearnedTokens& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const ConcatTokens& op);
std::unique_ptr<Kernel> make_kernel(const DropTokens& op);
std::unique_ptr<Kernel> make_kernel(const SliceTokens& op);
std::unique_ptr<Kernel> make_kernel(const MixTokens& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const SelectToken& op);
std::unique_ptr<Kernel> make_kernel(const AddPositions& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const AddFourierPositions& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const CrossCovariance& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const AddGrid& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const RotaryTable& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Attention& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const TalkingHeads& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const ChannelAttention& op);
std::unique_ptr<Kernel> make_kernel(const OutlookAttention& op);
std::unique_ptr<Kernel> make_kernel(const GatedAttention& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const Lstm& op, int64_t channels, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const DifferentialMix& op, ParameterReader& reader);
std::unique_ptr<Kernel> make_kernel(const AttentionPool& op);
std::unique_ptr<Kernel> make_kernel(const MixLevels& op);
std::unique_ptr<Kernel> make_kernel(const LinearAttention& op);
std::unique_ptr<Kernel> make_kernel(const SeparableAttention& op);
std::unique_ptr<Kernel> make_kernel(const BilinearTransform& op);
std::unique_ptr<Kernel> make_kernel(const MixExperts& op);
std::unique_ptr<Kernel> make_kernel(const MixSplits& op, const Strides& strides);
std::unique_ptr<Kernel> make_kernel(const Flatten& op);

}  // namespace wimm
