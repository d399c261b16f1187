// timm's evaluation transform: resize as PIL does, crop, normalise.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "wimm/tensor.h"

namespace wimm {

// An 8-bit image: rows top to bottom, `channels` interleaved samples a pixel (1 grey, 3 RGB, any number for other
// data).
struct ImageView {
  std::span<const uint8_t> pixels;
  int64_t width = 0, height = 0, channels = 3;
};

// The longest side of an image, given or made.
inline constexpr int64_t max_image_side = 65'535;

// timm's names. `nearest` takes the sample under the pixel's centre; the others widen with the scale, so that
// downscaling is antialiased; `bicubic` has a = -0.5.
enum class Interpolation : uint8_t { nearest, bilinear, bicubic };

// center: the shorter edge is resized to the size before the crop, keeping the aspect ratio, and the middle taken.
// squash: both edges are resized, the aspect ratio is lost. border: the longer edge is resized, and the rest filled
// with the mean colour.
enum class CropMode : uint8_t { center, squash, border };

// A model's data configuration, as timm's resolve_data_config gives it.
struct PreprocessOptions {
  int64_t height = 224, width = 224;  // of the result
  double crop_pct = 0.875;            // result / size before the crop; above 1 the result is padded with zeros
  CropMode crop_mode = CropMode::center;
  Interpolation interpolation = Interpolation::bicubic;
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};
  int64_t max_pixels = 100'000'000;  // larger images are refused
};

// "nearest", "bilinear", "bicubic", and "random", which is bilinear outside of training.
// Errors: invalid_argument.
Interpolation parse_interpolation(std::string_view name);
// "center", "squash", "border". Errors: invalid_argument.
CropMode parse_crop_mode(std::string_view name);

// Pixels with other channels, as PIL converts them: one to four channels are grey, grey and alpha, RGB, and RGBA; they
// become grey or RGB, composed onto white, or RGBA. `to` has room for as many pixels as `from` has.
// Errors: input_shape for all other conversions.
void convert_pixels(std::span<const uint8_t> from, int64_t from_channels, std::span<uint8_t> to, int64_t to_channels);

// PIL's Image.resize for 8-bit images, bit for bit; every channel is resized alone (alpha is not premultiplied).
// The result is [height, width, channels].
// Errors: input_shape where a size is 0 or `pixels` has another length; limit_exceeded.
std::vector<uint8_t> resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation);

// timm's transforms_imagenet_eval: the image resized, cropped and normalised, as [C, H, W] float32 of C =
// image.channels. mean and std apply per channel, repeated cyclically where an image has more; a grey image takes the
// averages of the three (timm itself takes RGB images alone). Errors: input_shape, limit_exceeded as above;
// invalid_argument for options out of range.
FloatTensor preprocess(const ImageView& image, const PreprocessOptions& options);

}  // namespace wimm
