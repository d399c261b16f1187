// GhostNets, for the families that have them.
#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace wimm::ghost {

// v2 has a gate of long range, v3 branches that are added up (both from the third block on); rep adds instead of
// concatenating.
enum class Kind : uint8_t { v1, v2, v3, rep };

struct BlockArgs {
  int64_t kernel, expanded, channels;
  double se_ratio;
  int64_t stride;
  bool ends_stage;
};

struct Spec {
  Kind kind;
  double width;
  std::span<const BlockArgs> blocks;
  double last_expansion;  // the last convolution's channels, as a ratio of the last block's expanded ones
};

Network build(const Spec& spec, const BuildOptions& options);

}  // namespace wimm::ghost
