// Adds nodes to a graph under timm's module path: scope["layer1"][0].conv2d("conv1", x, {...}).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "graph/graph.h"

namespace wimm::nn {

// A height and a width; one number stands for both.
struct Extent {
  int64_t height, width;
  constexpr Extent(int64_t both) : height(both), width(both) {}
  constexpr Extent(int64_t height_, int64_t width_) : height(height_), width(width_) {}
};

// Symmetric padding that keeps the size at stride 1: ((stride - 1) + dilation · (kernel - 1)) / 2, as timm's
// get_padding.
Padding same_size_padding(Extent kernel, int64_t stride = 1, int64_t dilation = 1);
Padding padding(int64_t all_sides);
inline constexpr Padding tf_same{.same = true};

struct ConvOptions {
  int64_t out_channels;
  Extent kernel = 1;
  int64_t stride = 1, dilation = 1, groups = 1;
  Padding padding{};
  bool bias = false;
  std::optional<double> standardize{};  // as Conv2d's
  // Scaled weight standardisation (arXiv 2101.08692): its weights are multiplied by this, by a parameter "gain", and
  // divided by √fan_in.
  std::optional<double> gain{};
  int64_t repeats = 1;  // as Conv2d's
};

// A place in the module tree. Cheap to copy; the graph outlives it.
class Scope {
 public:
  explicit Scope(Graph& graph) : graph_(&graph) {}
  Scope operator[](std::string_view module) const;
  Scope operator[](int64_t index) const;

  Graph& graph() const { return *graph_; }
  const std::string& path() const { return path_; }
  int64_t channels(NodeId value) const { return graph_->nodes[value].channels; }

  // Declares "<path>.<name>".
  ParameterId parameter(std::string_view name, Shape shape, Init init) const;
  // The same, with values that no checkpoint has.
  ParameterId constant(std::string_view name, Shape shape, std::vector<float> values) const;
  // A node named after this scope.
  NodeId node(Op op, std::vector<NodeId> inputs, int64_t channels) const;

  // Operations with their parameters declared, for `node`: where timm declares modules in another order than it runs
  // them.
  Conv2d declare_conv2d(std::string_view name, int64_t in_channels, const ConvOptions& options) const;
  Linear declare_linear(std::string_view name, int64_t in_features, int64_t out_features, bool bias = true) const;
  Affine declare_batch_norm(std::string_view name, int64_t channels, double eps = 1e-5) const;
  LayerNorm declare_layer_norm(std::string_view name, int64_t channels, double eps = 1e-6) const;

  NodeId input(int64_t channels) const { return input(Input{channels}); }
  NodeId input(const Input& input) const;
  NodeId conv2d(std::string_view name, NodeId x, const ConvOptions& options) const;
  NodeId batch_norm(std::string_view name, NodeId x, double eps = 1e-5) const;
  NodeId inplace_batch_norm(std::string_view name, NodeId x, double eps = 1e-5) const;  // has no num_batches_tracked
  NodeId group_norm(std::string_view name, NodeId x, int64_t groups, double eps = 1e-5) const;
  NodeId layer_norm(std::string_view name, NodeId x, double eps = 1e-6) const;
  NodeId rms_norm(std::string_view name, NodeId x, double eps = 1e-6, bool variance = false) const;
  NodeId global_response_norm(std::string_view name, NodeId x, double eps = 1e-6) const;
  NodeId evo_norm_s0(std::string_view name, NodeId x, int64_t groups, double eps = 1e-5, bool gated = true) const;
  NodeId filter_response_norm(std::string_view name, NodeId x, double eps = 1e-5) const;
  NodeId linear(std::string_view name, NodeId x, int64_t out_features, bool bias = true) const;
  NodeId activate(std::string_view name, NodeId x, Activation activation) const;
  NodeId add(NodeId a, NodeId b) const;
  NodeId mul(NodeId a, NodeId b) const;  // b may be [N, C] or [N, 1, 1, C]
  NodeId scale(NodeId x, float factor) const;
  NodeId max_pool(std::string_view name, NodeId x, const MaxPool& pool) const;
  NodeId avg_pool(std::string_view name, NodeId x, const AvgPool& pool) const;
  NodeId global_pool(std::string_view name, NodeId x, PoolKind kind, bool keep_dims = false) const;
  NodeId concat(std::vector<NodeId> values) const;
  NodeId slice(NodeId x, int64_t begin, int64_t size) const;

 private:
  Affine declare_statistics(int64_t channels, double eps) const;

  Graph* graph_;
  std::string path_;
};

}  // namespace wimm::nn
