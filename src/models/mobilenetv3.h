// The network of MobileNetV3, which other families share.
#pragma once

#include "models/efficientnet_builder.h"

namespace wimm {

// An EfficientNet trunk with MobileNetV3's efficient head, whose convolution follows the pooling.
Network build_mobilenetv3(const efficientnet::Variant& variant, const BuildOptions& options);

// Its squeeze-and-excitation.
inline constexpr efficientnet::SqueezeExcite mobilenetv3_squeeze_excite{
    .gate = Activation::hard_sigmoid,
    .activation = Activation::relu,
    .rounding = efficientnet::ChannelRounding{},
};

}  // namespace wimm
