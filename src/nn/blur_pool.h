// Anti-aliased downsampling.
#pragma once

#include "nn/scope.h"

namespace wimm::nn {

// timm's BlurPool2d (arXiv 1904.11486): a binomial 3×3 filter of stride 2 over each channel, edges reflected.
NodeId blur_pool(const Scope& scope, NodeId x);

}  // namespace wimm::nn
