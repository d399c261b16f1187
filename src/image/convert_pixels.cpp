// Colours as PIL converts them.
#include <algorithm>
#include <string>

#include "wimm/error.h"
#include "wimm/image.h"

namespace wimm {
namespace {

// Converted by one call, and a function of its own, since an engine begins to run the optimised code of a function when
// it is called, not in the midst of it.
constexpr int64_t pixels_of_a_call = 1024;

// value / 255, rounded.
uint32_t over_255(uint32_t value) { return (((value + 128) >> 8) + value + 128) >> 8; }

uint8_t compose_onto_white(uint32_t sample, uint32_t alpha) {
  return static_cast<uint8_t>(over_255(sample * alpha + 255 * (255 - alpha)));
}

// ITU-R 601, rounded.
uint8_t luma(uint32_t red, uint32_t green, uint32_t blue) {
  return static_cast<uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
}

template <int64_t from_channels, int64_t to_channels>
[[gnu::noinline]] void convert(const uint8_t* from, int64_t pixels, uint8_t* to) {
  constexpr bool has_alpha = from_channels % 2 == 0;
  constexpr int64_t green_at = from_channels < 3 ? 0 : 1, blue_at = from_channels < 3 ? 0 : 2;
  for (int64_t i = 0; i < pixels; ++i, from += from_channels, to += to_channels) {
    const uint8_t alpha = has_alpha ? from[from_channels - 1] : 255;
    uint8_t red = from[0], green = from[green_at], blue = from[blue_at];
    if (to_channels != 4 && alpha != 255) {
      red = compose_onto_white(red, alpha);
      green = compose_onto_white(green, alpha);
      blue = compose_onto_white(blue, alpha);
    }
    if constexpr (to_channels == 1) {
      to[0] = luma(red, green, blue);
    } else {
      to[0] = red;
      to[1] = green;
      to[2] = blue;
      if constexpr (to_channels == 4) to[3] = alpha;
    }
  }
}

using Convert = void (*)(const uint8_t*, int64_t, uint8_t*);

// By the channels of the pixel, then by those that it gets.
constexpr Convert converters[5][5] = {
    {},
    {nullptr, convert<1, 1>, nullptr, convert<1, 3>, convert<1, 4>},
    {nullptr, convert<2, 1>, nullptr, convert<2, 3>, convert<2, 4>},
    {nullptr, convert<3, 1>, nullptr, convert<3, 3>, convert<3, 4>},
    {nullptr, convert<4, 1>, nullptr, convert<4, 3>, convert<4, 4>},
};

}  // namespace

void convert_pixels(std::span<const uint8_t> from, int64_t from_channels, std::span<uint8_t> to, int64_t to_channels) {
  const auto is_colour = [](int64_t channels) { return channels >= 1 && channels <= 4; };
  const Convert function =
      is_colour(from_channels) && is_colour(to_channels) ? converters[from_channels][to_channels] : nullptr;
  if (!function) {
    const std::string wanted = std::to_string(to_channels);
    throw Error(ErrorCode::input_shape, "the model takes " + wanted + " channels, but the image has " +
                                            std::to_string(from_channels) +
                                            "; pass { data, width, height, channels: " + wanted + " }");
  }
  const int64_t pixels =
      std::min(static_cast<int64_t>(from.size()) / from_channels, static_cast<int64_t>(to.size()) / to_channels);
  for (int64_t done = 0; done < pixels; done += pixels_of_a_call)
    function(&from[done * from_channels], std::min(pixels_of_a_call, pixels - done), &to[done * to_channels]);
}

}  // namespace wimm
