// PIL's resize, of which only a window of the result is computed.
#pragma once

#include <cstdint>
#include <vector>

#include "wimm/image.h"

namespace wimm {

// A rectangle of pixels inside an image.
struct Window {
  int64_t left, top, width, height;
};

// The window of the image resized to width × height, [window.height, window.width, channels]: equal to the whole resize
// followed by a crop, but neither time nor memory goes into pixels outside of the window. The image has been checked.
std::vector<uint8_t> resize_window(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation,
                                   const Window& window);

// Throws input_shape or limit_exceeded unless the image has 1 to `max_image_side` pixels a side, at least one channel,
// and as many samples as these make.
void check_image(const ImageView& image);

}  // namespace wimm
