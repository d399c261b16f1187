// Blocks of the EfficientNet and MobileNet families, as timm/models/_efficientnet_blocks.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/scope.h"

namespace wimm::efficientnet {

// Sides of a convolution's kernel. More than one: a mixed convolution (arXiv 1907.09595), channels split among them.
using KernelSizes = std::vector<int64_t>;

enum class BlockType : uint8_t {
  depthwise_separable,          // ds, dsa
  inverted_residual,            // ir; conditional convolutions (arXiv 1904.04971) where there are experts
  edge_residual,                // er
  conv_norm_act,                // cn
  universal_inverted_residual,  // uir (arXiv 2404.10518)
  mobile_attention,             // mqa, multi-query attention (arXiv 2404.10518)
};

struct BlockArgs {
  BlockType type;
  int64_t out_channels = 0, stride = 1;
  KernelSizes kernels{1}, start_kernels{1},
      end_kernels{1};  // the main convolution's, and those before and after; 0: none
  double expansion = 1, squeeze_ratio = 0;
  int64_t group_size = 0;                  // channels a group of the main convolution; 0: one group
  std::optional<Activation> activation{};  // else the model's
  bool residual = true;                    // where the shapes allow it
  bool activate_last = false;
  bool space_to_depth = false;     // begins with a 2×2 convolution of stride 2 to four times the channels
  int64_t expansion_channels = 0;  // the input channels that `expansion` multiplies, where not the block's own
  int64_t experts = 0;
  int64_t heads = 0, key_dim = 0, kv_stride = 1;
  int64_t mid_channels = 0, squeezed_channels = 0;  // where pruning left other numbers than the ratios give
};

// Rounding of channels to a multiple of `divisor` after scaling.
struct ChannelRounding {
  double multiplier = 1;
  int64_t divisor = 8;
  double round_limit = 0.9;

  int64_t operator()(double channels) const;
};

inline constexpr double tf_norm_eps = 1e-3;  // TensorFlow's default for batch norm

struct Norm {
  enum class Kind : uint8_t { batch, group, layer, evo_s0 } kind = Kind::batch;
  int64_t group_size = 0;
  double eps = 1e-5;
};

enum class AntiAlias : uint8_t { none, avg, blur };

struct SqueezeExcite {
  Activation gate = Activation::sigmoid;
  std::optional<Activation> activation{};     // else the block's
  std::optional<ChannelRounding> rounding{};  // of the squeezed channels; else to the nearest integer
  bool global_context = false;                // pooled by attention (arXiv 1904.11492)
};

// What the layers of a model have in common.
struct Style {
  Activation activation = Activation::relu;
  Norm norm;
  AntiAlias anti_alias = AntiAlias::none;  // of strided convolutions inside blocks
  SqueezeExcite squeeze_excite;
  bool tf_padding = false;
  bool layer_scale = false;  // of uir and mqa blocks
};

struct ConvArgs {
  int64_t out_channels;
  KernelSizes kernels{1};
  int64_t stride = 1, groups = 1;
};

// Layers in one style under one module path.
class Layers {
 public:
  Layers(nn::Scope scope, const Style& style) : scope_(std::move(scope)), style_(style) {}
  Layers operator[](std::string_view module) const { return {scope_[module], style_}; }

  const nn::Scope& scope() const { return scope_; }
  const Style& style() const { return style_; }
  int64_t channels(NodeId x) const { return scope_.channels(x); }

  NodeId conv(std::string_view name, NodeId x, const ConvArgs& args) const;
  NodeId norm(std::string_view name, NodeId x, bool activate = true) const;
  // A convolution and its norm; where it is strided and the style says so, the stride is left to anti-aliased pooling.
  NodeId conv_norm(std::string_view conv, std::string_view norm, NodeId x, ConvArgs args, bool activate = true) const;
  NodeId squeeze_excite(NodeId x, const BlockArgs& block) const;
  NodeId layer_scale(NodeId x) const;

 private:
  nn::Scope scope_;
  Style style_;
};

NodeId build_block(const nn::Scope& scope, const Style& style, const BlockArgs& args, NodeId x);

}  // namespace wimm::efficientnet
