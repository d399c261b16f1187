// Res2Net's convolutions at several scales.
#pragma once

#include "nn/scope.h"

namespace wimm::nn {

struct MultiScaleOptions {
  int64_t scale;  // parts of x's channels
  int64_t stride = 1, groups = 1;
  bool chained = true;  // each part is added to the result before it; else the last one is pooled
};

// The middle of timm's Bottle2neck (arXiv 1904.01169): a 3×3 convolution "convs.<i>" with batch norm and ReLU for each
// part but the last, all together again.
NodeId multi_scale(const Scope& scope, NodeId x, const MultiScaleOptions& options);

}  // namespace wimm::nn
