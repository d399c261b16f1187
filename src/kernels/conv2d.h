// What the ways to compute a convolution share.
#pragma once

#include <string_view>

#include "kernels/affine.h"

namespace wimm {

// By Winograd's algorithm: for 3×3 kernels of stride 1, channels in multiples of four.
std::unique_ptr<Kernel> make_winograd(const Conv2d& op, int64_t channels, const Strides& strides,
                                      std::string_view layer, ParameterReader& reader);

// One filter for each channel.
bool is_depthwise(const Conv2d& op, int64_t channels);
std::unique_ptr<Kernel> make_depthwise(const Conv2d& op, const Strides& strides, std::string_view layer,
                                       ParameterReader& reader);

// 1×1, as a matrix product.
bool is_pointwise(const Conv2d& op);
std::unique_ptr<Kernel> make_pointwise(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader);

}  // namespace wimm
