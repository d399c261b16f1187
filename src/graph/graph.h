// A model as a graph: nodes in topological order, and parameters under timm's names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ops.h"
#include "wimm/tensor.h"

namespace wimm {

// How a parameter is filled when no weights are given; cosines: [n, n], an orthonormal discrete cosine transform.
enum class Init : uint8_t { zeros, ones, conv, linear, token, layer_scale, logit_scale, cosines, constant };

// What a parameter [1, prefix + height · width, C] embeds: the positions of a grid, behind tokens that are in none.
struct PositionGrid {
  Size2d size;
  int64_t prefix;
  Size2d native;  // of released checkpoints
  Resampling resampling;
};

// What a parameter [(2 · height - 1) · (2 · width - 1) + more, heads] tells apart: the offsets in a window, and more.
struct OffsetGrid {
  Size2d window;
  int64_t more = 0;
};

// An entry of timm's state_dict, or a constant that the model computes itself (Init::constant: never in a checkpoint).
struct Parameter {
  std::string name;  // "layer1.0.conv1.weight"
  Shape shape;       // as in timm
  Init init;
  DType dtype = DType::float32;             // int64 for num_batches_tracked
  bool takes_input = false;                 // a first convolution: adapted to the number of input channels
  bool classifier = false;                  // dropped from a checkpoint of another number of classes
  std::optional<PositionGrid> positions{};  // resampled from a checkpoint of another grid
  std::optional<OffsetGrid> offsets{};      // resampled from a checkpoint of another window
  std::optional<Resampling> patches{};      // a patch embedding: resampled from a checkpoint of patches of another size
  std::vector<float> constant{};            // the data of Init::constant
};

// Channels of a value, from `begin` on.
struct Part {
  NodeId whole;
  int64_t begin;
  bool operator==(const Part&) const = default;
};

struct Node {
  Op op;
  std::vector<NodeId> inputs;
  std::string name;            // timm's module path
  int64_t channels = 0;        // of its value: the last dimension
  std::optional<Part> part{};  // set by a pass: where in memory its value lies, unless in memory of its own
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<Parameter> parameters;

  NodeId add(Op op, std::vector<NodeId> inputs, std::string name, int64_t channels);
  ParameterId add(Parameter parameter);

  // Where the value of a node lies.
  Part place(NodeId id) const { return nodes[id].part.value_or(Part{id, 0}); }
  // Floats from one of its pixels (tokens, rows) to the next.
  int64_t pixel_stride(NodeId id) const { return nodes[place(id).whole].channels; }
};

// One level of timm's feature_info.
struct FeatureInfo {
  NodeId node;  // no_id for a level that cannot be had
  int64_t channels, reduction;
  std::string module;  // "layer1"
};

// A model ready to be given weights: its graph and the values that the API speaks of.
struct Network {
  Graph graph;
  NodeId input = no_id;
  NodeId features = no_id;  // forward_features: [N, H, W, C], or tokens [N, L, C]
  bool token_features = false;
  NodeId pre_logits = no_id;  // forward_head with pre_logits: [N, C], or the unpooled map or tokens
  NodeId logits = no_id;      // [N, num_classes]; pre_logits where there is no classifier
  std::vector<FeatureInfo> feature_info;
  std::vector<int64_t> out_indices;  // the levels of feature_info that a caller gets who names none; empty: all
  int64_t num_features = 0;
  std::vector<std::string> classifier;  // module names of the classifier: "fc"
  // Modules that released checkpoints may have beside the model's own, for training alone: "AuxLogits".
  std::vector<std::string> unused_modules;

  // Adds to feature_info.
  void add_level(NodeId node, int64_t reduction, std::string module);
};

}  // namespace wimm
