// What the ways to compute a convolution share.
#pragma once

#include <span>
#include <string_view>

#include "kernels/affine.h"

namespace wimm {

// weight [O, I, K] → [O, K, I], K = kH·kW: XNNPACK's order.
std::vector<float> channels_last(std::vector<float> weight, int64_t out, int64_t in, int64_t window);

// The image that an operation's windows see: its size with padding, and where the input lies in it.
struct PaddedImage {
  Size2d size, before;
};
PaddedImage padded_image(const Conv2d& op, const Shape& input, const Shape& output);

// Where the windows of outputs `first`, `first` + 1, … of [N, H, W] begin in images of this size, `pixel` elements a
// pixel.
template <class Element>
void locate_windows(const Conv2d& op, const Shape& output, const Element* images, Size2d size, int64_t pixel,
                    int64_t first, std::span<const Element*> rows) {
  int64_t x = first % output[2], y = first / output[2] % output[1], n = first / output[2] / output[1];
  for (const Element*& row : rows) {
    row = images + ((n * size[0] + y * op.stride[0]) * size[1] + x * op.stride[1]) * pixel;
    if (++x < output[2]) continue;
    x = 0;
    if (++y < output[1]) continue;
    y = 0;
    ++n;
  }
}

// In integers, for one group.
std::unique_ptr<Kernel> make_int8_conv(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader);

// As a matrix product of windows, for one group whose windows have no gaps within a line.
std::unique_ptr<Kernel> make_window_conv(const Conv2d& op, int64_t channels, const Strides& strides,
                                         std::string_view layer, ParameterReader& reader);

// By Winograd's algorithm: for 3×3 kernels of stride 1, channels in multiples of four.
std::unique_ptr<Kernel> make_winograd(const Conv2d& op, int64_t channels, const Strides& strides,
                                      std::string_view layer, ParameterReader& reader);

// One filter for each channel, of the input or of its expansion.
std::unique_ptr<Kernel> make_depthwise(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader);

// 1×1, in integers.
std::unique_ptr<Kernel> make_int8_pointwise(const Conv2d& op, int64_t channels, const Strides& strides,
                                            std::string_view layer, ParameterReader& reader);

}  // namespace wimm
