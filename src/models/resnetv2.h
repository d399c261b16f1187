// The backbones that vision transformers take from ResNet v2.
#pragma once

#include <array>

#include "nn/scope.h"

namespace wimm {

// A ResNet of the first kind's order (convolution, norm, activation), of weight-standardised convolutions, group norm
// and TensorFlow's padding, up to its last feature map. `layers`: blocks of each stage, 0 for stages that are not
// there; without any it is the stem alone, and lies in `scope` itself.
NodeId resnetv2_backbone(const nn::Scope& scope, NodeId x, const std::array<int64_t, 4>& layers);

}  // namespace wimm
