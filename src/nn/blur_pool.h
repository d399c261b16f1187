// Anti-aliased downsampling.
#pragma once

#include "nn/scope.h"

namespace wimm::nn {

// timm's BlurPool2d (arXiv 1904.11486): a binomial 3×3 filter of stride 2 over each channel, edges reflected or zeros.
NodeId blur_pool(const Scope& scope, NodeId x, Pad::Mode edges = Pad::Mode::reflect);

}  // namespace wimm::nn
