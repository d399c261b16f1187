// The backbone that other families take from ResNet.
#pragma once

#include "models/resnet_builder.h"

namespace wimm {

// A ResNet of timm/models/resnet.py up to its last feature map.
NodeId resnet_backbone(const nn::Scope& scope, NodeId x, const resnet::Spec& spec);

}  // namespace wimm
