// timm's evaluation transform (timm/data/transforms_factory.py, transforms_imagenet_eval) for 8-bit images.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "image/resize.h"
#include "wimm/error.h"

namespace wimm {
namespace {

// The longest side that an image may have before its crop; only the crop is ever computed.
constexpr double max_resized_side = 1 << 26;

struct Size {
  int64_t width, height;
};

// Halves go to the even neighbour, as Python's round has them.
double round_half_even(double value) { return std::nearbyint(value); }

int64_t resized_side(double side) {
  if (side > max_resized_side) {
    throw Error(ErrorCode::limit_exceeded, "image is too long and narrow, or crop_pct too small: a side of " +
                                               std::to_string(side) + " pixels before the crop");
  }
  if (side < 1)
    throw Error(ErrorCode::input_shape, "image is too long and narrow: resized, a side would have 0 pixels");
  return static_cast<int64_t>(side);
}

// torchvision's Resize with one number: the shorter edge becomes `edge`, the longer one keeps the ratio, rounded down.
Size resize_shorter_edge(const ImageView& image, double edge) {
  const auto [shorter, longer] = std::minmax(image.width, image.height);
  const int64_t short_edge = resized_side(edge);
  const int64_t long_edge = resized_side(std::floor(edge * static_cast<double>(longer) / static_cast<double>(shorter)));
  return image.width <= image.height ? Size{short_edge, long_edge} : Size{long_edge, short_edge};
}

// timm's ResizeKeepRatio: both edges divided by one ratio, rounded.
Size divide_edges(const ImageView& image, double ratio) {
  return {resized_side(round_half_even(image.width / ratio)), resized_side(round_half_even(image.height / ratio))};
}

// The image's size before the crop.
Size resized_size(const ImageView& image, const PreprocessOptions& options) {
  const double width = std::floor(options.width / options.crop_pct);
  const double height = std::floor(options.height / options.crop_pct);
  const double ratio_w = image.width / width, ratio_h = image.height / height;
  switch (options.crop_mode) {
    case CropMode::squash:
      return {resized_side(width), resized_side(height)};
    case CropMode::border:
      return divide_edges(image, std::max(ratio_w, ratio_h));
    case CropMode::center:
      return width == height ? resize_shorter_edge(image, width) : divide_edges(image, std::min(ratio_w, ratio_h));
  }
  throw Error(ErrorCode::invalid_argument, "unknown crop mode");
}

// Where a centered crop starts on one axis; negative where the image is smaller and padding comes first
// (the smaller half of it, as in torchvision).
int64_t crop_offset(int64_t size, int64_t crop) {
  if (crop > size) return -((crop - size) / 2);
  return static_cast<int64_t>(round_half_even(static_cast<double>(size - crop) / 2.0));
}

// The normalised value of each of the 256 samples, as torchvision's ToTensor and Normalize compute it in float32.
std::array<float, 256> normalised_samples(double mean, double std) {
  std::array<float, 256> values;
  for (int sample = 0; sample < 256; ++sample) {
    values[sample] = (static_cast<float>(sample) / 255.0f - static_cast<float>(mean)) / static_cast<float>(std);
  }
  return values;
}

// A statistic of one channel: the three of the options in turn, or their average for a grey image.
double channel_value(const std::array<double, 3>& values, int64_t channel, int64_t channels) {
  return channels == 1 ? (values[0] + values[1] + values[2]) / 3 : values[channel % 3];
}

void check_options(const ImageView& image, const PreprocessOptions& options) {
  const auto require = [](bool valid, const std::string& message) {
    if (!valid) throw Error(ErrorCode::invalid_argument, message);
  };
  require(
      options.width >= 1 && options.width <= max_image_side && options.height >= 1 && options.height <= max_image_side,
      "input size is " + to_string({options.height, options.width}) + "; expected sides from 1 to " +
          std::to_string(max_image_side));
  require(options.crop_pct > 0 && std::floor(std::min(options.width, options.height) / options.crop_pct) >= 1,
          "crop_pct is " + std::to_string(options.crop_pct) + "; expected a positive number, usually from 0.8 to 1");
  for (int c = 0; c < 3; ++c) {
    require(std::isfinite(options.mean[c]) && std::isfinite(options.std[c]) && options.std[c] > 0,
            "mean and std must be finite, std positive");
  }
  const int64_t limit = options.max_pixels;
  const int64_t elements = element_count({image.channels, options.height, options.width});
  if (image.width * image.height > limit || options.width * options.height > limit ||
      static_cast<uint64_t>(elements) > std::numeric_limits<ptrdiff_t>::max() / sizeof(float)) {
    throw Error(ErrorCode::limit_exceeded, "image of " + to_string({image.height, image.width, image.channels}) +
                                               " (height, width, channels) for an input of " +
                                               to_string({options.height, options.width}) + "; at most " +
                                               std::to_string(limit) + " pixels are allowed");
  }
}

}  // namespace

Interpolation parse_interpolation(std::string_view name) {
  if (name == "nearest") return Interpolation::nearest;
  if (name == "bilinear" || name == "random") return Interpolation::bilinear;
  if (name == "bicubic") return Interpolation::bicubic;
  throw Error(ErrorCode::invalid_argument,
              "unknown interpolation " + quote(name) + "; expected nearest, bilinear or bicubic");
}

CropMode parse_crop_mode(std::string_view name) {
  if (name == "center") return CropMode::center;
  if (name == "squash") return CropMode::squash;
  if (name == "border") return CropMode::border;
  throw Error(ErrorCode::invalid_argument, "unknown crop mode " + quote(name) + "; expected center, squash or border");
}

FloatTensor preprocess(const ImageView& image, const PreprocessOptions& options) {
  check_image(image);
  check_options(image, options);

  const Size size = resized_size(image, options);
  const int64_t left = crop_offset(size.width, options.width), top = crop_offset(size.height, options.height);
  const Window window{std::max<int64_t>(left, 0), std::max<int64_t>(top, 0), std::min(size.width, options.width),
                      std::min(size.height, options.height)};
  const std::vector<uint8_t> resized = resize_window(image, size.width, size.height, options.interpolation, window);

  FloatTensor result{{image.channels, options.height, options.width}, {}};
  result.data.resize(static_cast<size_t>(element_count(result.shape)));
  float* plane = result.data.data();
  for (int64_t c = 0; c < image.channels; ++c, plane += options.height * options.width) {
    const double mean = channel_value(options.mean, c, image.channels);
    const std::array<float, 256> table = normalised_samples(mean, channel_value(options.std, c, image.channels));
    const double fill = options.crop_mode == CropMode::border ? round_half_even(255.0 * mean) : 0.0;
    std::fill_n(plane, options.height * options.width, table[static_cast<size_t>(std::clamp(fill, 0.0, 255.0))]);
    for (int64_t y = 0; y < window.height; ++y) {
      const uint8_t* source = resized.data() + y * window.width * image.channels + c;
      float* out = plane + (y + std::max<int64_t>(-top, 0)) * options.width + std::max<int64_t>(-left, 0);
      for (int64_t x = 0; x < window.width; ++x) out[x] = table[source[x * image.channels]];
    }
  }
  return result;
}

}  // namespace wimm
