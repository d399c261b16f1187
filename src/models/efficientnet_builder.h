// Trunks of the EfficientNet and MobileNet families from timm's block strings, as timm/models/_efficientnet_builder.py.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "models/efficientnet_blocks.h"
#include "models/families.h"

namespace wimm::efficientnet {

// A model before scaling.
struct Architecture {
  // Block strings of each stage, separated by spaces; see decode_stages.
  std::array<std::string_view, 7> stages;
  std::array<int64_t, 7> channels{};  // of each stage's blocks, where the strings leave them out
  Activation activation = Activation::relu;
  SqueezeExcite squeeze_excite{};
  bool squeeze_from_expanded = false;  // squeeze ratios are of the expanded channels, not of the block's input
  bool layer_scale = false;
  double round_limit = 0.9;
  bool round_depth = false;  // scaled depths are rounded to the nearest count, else up
  bool fixed_ends = false;   // stem and head keep their channels, the first and last stages their depth

  double stem_channels = 32;
  int64_t stem_kernel = 3;
  double fix_stem_below = 0;  // a model less wide than this keeps the stem's channels

  enum class HeadWidth : uint8_t { fixed, scaled, grown };
  double head_channels = 1280;
  HeadWidth head_width = HeadWidth::fixed;
  bool head_bias = true, head_norm = false;  // of MobileNetV3's head
};

// What makes a variant of an architecture.
struct Scaling {
  double width = 1, depth = 1;
  double late_depth = 0;    // of the last two stages, if positive
  bool tf = false;          // TensorFlow's padding, and its epsilon of batch norm
  bool fixed_ends = false;  // as the architecture's
  bool head_conv = true;    // a convolution before the classifier
  int64_t channel_divisor = 8;
  int64_t group_size = 0;  // of the blocks' main convolutions, if positive
  int64_t experts = 1;     // multiplies the experts of conditional convolutions
  Norm norm{};
  double pretrained_eps = 0;  // epsilon of batch norm with timm's weights, if positive
  AntiAlias anti_alias = AntiAlias::none;
  bool global_context = false;  // in place of squeeze-and-excitation
  std::span<const std::string_view> pruned{};
};

struct Variant {
  std::string_view name;
  const Architecture& architecture;
  Scaling scaling{};
};

using Stage = std::vector<BlockArgs>;

// The blocks of each stage, scaled. A block string is its type, then options in any order:
// "ir_r2_k3_s2_e6_c24_se0.25_nre".
//   r blocks; k kernel; a, p kernels before and after (k3.5: mixed); s stride; e expansion; c output channels;
//   se squeeze ratio; n activation (re, r6, hs, sw, mi); skip, noskip; gs group size; cc experts; d space to depth, or
//   key dimension; fc channels to expand; h heads; v stride of keys and values.
// Errors: invalid_argument.
std::vector<Stage> decode_stages(const Architecture& architecture, const Scaling& scaling);

// A model after scaling.
struct Spec {
  std::vector<Stage> stages;
  Style style;
  int64_t stem_channels, stem_kernel;
  int64_t head_channels;  // 0: no convolution
  bool squeeze_from_expanded, head_bias, head_norm;
};

Spec scale(const Variant& variant, bool pretrained);

// Adds stem and stages; sets the network's input and feature_info. Returns the last stage's value.
NodeId build_trunk(const Spec& spec, int64_t in_chans, Network& network);

}  // namespace wimm::efficientnet
