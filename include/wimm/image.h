// timm's evaluation transform: resize as PIL does, crop, normalise.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "wimm/tensor.h"

namespace wimm {

// An 8-bit image: rows top to bottom, `channels` interleaved samples a pixel (1 grey, 3 RGB).
struct ImageView {
  std::span<const uint8_t> pixels;
  int64_t width = 0, height = 0, channels = 3;
};

enum class Interpolation : uint8_t { nearest, bilinear, bicubic };
enum class CropMode : uint8_t { center, squash, border };

struct PreprocessOptions {
  int64_t height = 224, width = 224;
  double crop_pct = 0.875;
  CropMode crop_mode = CropMode::center;
  Interpolation interpolation = Interpolation::bicubic;
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
};

Interpolation parse_interpolation(std::string_view name);
CropMode parse_crop_mode(std::string_view name);

// PIL's Image.resize for 8-bit images (antialiased, fixed-point as PIL computes it), bit for bit.
// `pixels` of the result: height × width × channels.
std::vector<uint8_t> resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation);

// timm's `transforms_imagenet_eval`: the image resized, cropped and normalised, as [C, H, W] float32 of C = image.channels.
// mean and std apply per channel, the three repeated cyclically where an image has more; a grey image takes their means.
FloatTensor preprocess(const ImageView& image, const PreprocessOptions& options);

}  // namespace wimm
