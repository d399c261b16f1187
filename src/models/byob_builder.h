// Bring your own blocks: what byobnet.py and byoanet.py of timm build from, stem, stages of blocks and head.
#pragma once

#include <array>
#include <cstdint>

#include "models/families.h"
#include "nn/conv_norm_act.h"

namespace wimm::byob {

enum class BlockType : uint8_t {
  basic,       // two 3×3
  bottleneck,  // 1×1, 3×3, 1×1
  dark,        // 1×1, 3×3
  edge,        // 3×3, 1×1
  rep_vgg,     // 3×3 and 1×1 and the input, added up (arXiv 2101.03697)
  mobile_one,  // several 3×3 or 1×1, a 1×1 and the input, added up (arXiv 2206.04040); depthwise, then pointwise
};

// What takes the place of a bottleneck's 3×3 in some blocks: attention among all pixels (arXiv 2101.11605), in blocks
// and what surrounds them (2103.12731), or a lambda layer (2102.08602).
struct SelfAttention {
  enum class Kind : uint8_t { none, all, halo, lambda } kind = Kind::none;
  int64_t first = 0, step = 1;  // of a stage's blocks, those that have it
  int64_t heads = 4;
  int64_t head_channels = 0;  // of queries and keys; 0: as many as values have, times this
  double ratio = 1;
  int64_t block = 8, halo = 3;  // sides, in pixels
  int64_t kernel = 9;           // of a lambda layer's convolution; 0: over all of the image

  constexpr bool is_in(int64_t i) const { return kind != Kind::none && i >= first && (i - first) % step == 0; }
};

struct Stage {
  BlockType type;
  int64_t depth = 0;  // blocks; of pairs of mobile_one
  double channels = 0;
  int64_t stride = 2;
  int64_t group_size = 0;  // channels a group of the 3×3 convolution; 0: one group
  double bottleneck = 1;   // its channels, as a ratio of the block's
  // Of the block that ends the stage, where the spec has one: its layers and, if any, their channels.
  int64_t transformer_depth = 0, transformer_channels = 0;
  SelfAttention attention{};
};
using Stages = std::array<Stage, 5>;  // as many as have blocks

enum class Stem : uint8_t {
  plain,    // one 3×3
  deep,     // three of the same channels
  tiered,   // three, of 3/8, 1/2 and all of them
  clip,     // three, of 1/2, 1/2 and all of them
  quad,     // four, of 1/8, 1/4, 1/2 and all of them
  quad2,    // the same, the first two without norm and activation
  seven,    // one 7×7
  rep_vgg,  // blocks of stride 2
  mobile_one,
};
enum class Pool : uint8_t { none, max3, avg2 };
enum class Shortcut : uint8_t { conv, avg, none };                      // where the shape changes
enum class Gate : uint8_t { none, se, eca, global_context, bilinear };  // of channels
enum class Head : uint8_t { classifier, mlp, attention };

struct Spec {
  Stages stages;
  Stem stem = Stem::plain;
  int64_t stem_channels = 64;
  Pool stem_pool = Pool::none;
  double width = 1;          // multiplies channels
  int64_t num_features = 0;  // of a final 1×1 convolution; 0: none
  Activation activation = Activation::relu;
  nn::Norm norm = nn::Norm::batch;
  bool anti_alias = false;  // strided convolutions of blocks leave the stride to an average
  Shortcut shortcut = Shortcut::conv;
  Gate gate = Gate::none;
  double se_ratio = 1.0 / 16;
  int64_t se_divisor = 8;
  int64_t se_blocks = INT64_MAX;  // of the last stages, only these have attention: of the third, and one of the fourth
  bool extra_conv = false;        // bottlenecks have two 3×3
  bool bottle_in = false;         // the ratio is of the input's channels
  bool linear_out = false;        // no activation behind the sum
  int64_t rep_groups = 1;         // of every second RepVGG block's convolutions
  int64_t branches = 1;           // of MobileOne's main convolution
  Head head = Head::classifier;
  int64_t head_hidden = 0;
  NodeId (*last_block)(const nn::Scope& scope, NodeId x, const Stage& stage) = nullptr;
  // An image's attention; `grid`: its height and width.
  NodeId (*self_attention)(const nn::Scope& scope, NodeId x, const SelfAttention& spec, int64_t stride,
                           Size2d grid) = nullptr;
  int64_t img_size = 0;      // the side of the images that it takes, unless a caller names another; 0: any
  int64_t feature_size = 7;  // sides of the map that attention pooling has learned positions for

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
};

Network build(const Spec& spec, const BuildOptions& options);

}  // namespace wimm::byob
