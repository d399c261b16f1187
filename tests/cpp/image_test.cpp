// Resizing equals PIL's, and preprocessing timm's, bit for bit.
#include "wimm/image.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "image_goldens.h"
#include "wimm/error.h"

namespace {

using wimm::ErrorCode;

// Samples [height, width, channels] that look like noise; tests/parity/make_image_goldens.py makes the same.
std::vector<uint8_t> generate(int64_t width, int64_t height, int64_t channels) {
  std::vector<uint8_t> samples(width * height * channels);
  for (size_t i = 0; i < samples.size(); ++i) {
    uint32_t bits = static_cast<uint32_t>(i) * 2654435761u;
    bits = (bits ^ (bits >> 15)) * 2246822519u;
    samples[i] = static_cast<uint8_t>(bits >> 24);
  }
  return samples;
}

uint32_t crc32(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

template <typename Function>
ErrorCode code_of(Function&& function) {
  try {
    function();
  } catch (const wimm::Error& error) {
    return error.code();
  }
  FAIL("no error");
  return {};
}

TEST_CASE("resize gives PIL's samples") {
  for (const ResizeGolden& golden : resize_goldens) {
    CAPTURE(golden.width);
    CAPTURE(golden.height);
    CAPTURE(golden.channels);
    CAPTURE(golden.out_width);
    CAPTURE(golden.out_height);
    CAPTURE(golden.interpolation);
    const std::vector<uint8_t> pixels = generate(golden.width, golden.height, golden.channels);
    const std::vector<uint8_t> resized =
        wimm::resize({pixels, golden.width, golden.height, golden.channels}, golden.out_width, golden.out_height,
                     wimm::parse_interpolation(golden.interpolation));
    CHECK(resized.size() == golden.out_width * golden.out_height * golden.channels);
    CHECK(crc32(std::as_bytes(std::span(resized))) == golden.crc32);
  }
}

TEST_CASE("preprocess gives the values of timm's evaluation transform") {
  for (const PreprocessGolden& golden : preprocess_goldens) {
    CAPTURE(golden.width);
    CAPTURE(golden.height);
    CAPTURE(golden.channels);
    CAPTURE(golden.out_width);
    CAPTURE(golden.out_height);
    CAPTURE(golden.crop_mode);
    const std::vector<uint8_t> pixels = generate(golden.width, golden.height, golden.channels);
    wimm::PreprocessOptions options;
    options.height = golden.out_height;
    options.width = golden.out_width;
    options.crop_pct = golden.crop_pct;
    options.crop_mode = wimm::parse_crop_mode(golden.crop_mode);
    options.interpolation = wimm::parse_interpolation(golden.interpolation);
    options.mean = golden.mean;
    options.std = golden.std;
    const wimm::FloatTensor result = wimm::preprocess({pixels, golden.width, golden.height, golden.channels}, options);
    REQUIRE(result.shape == wimm::Shape{golden.channels, golden.out_height, golden.out_width});
    CHECK(result.data.front() == golden.spots[0]);
    CHECK(result.data[result.data.size() / 2] == golden.spots[1]);
    CHECK(result.data.back() == golden.spots[2]);
    CHECK(crc32(std::as_bytes(std::span(result.data))) == golden.crc32);
  }
}

TEST_CASE("pixels get other channels as PIL gives them") {
  const auto converted = [](std::vector<uint8_t> from, int64_t from_channels, int64_t to_channels) {
    std::vector<uint8_t> to(from.size() / from_channels * to_channels);
    wimm::convert_pixels(from, from_channels, to, to_channels);
    return to;
  };
  using Samples = std::vector<uint8_t>;
  const Samples rgba{200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 128};
  CHECK(converted(rgba, 4, 3) == Samples{200, 100, 50, 255, 255, 255, 227, 177, 152});
  CHECK(converted(rgba, 4, 1) == Samples{124, 255, 189});
  CHECK(converted({7, 250, 9}, 3, 4) == Samples{7, 250, 9, 255});
  CHECK(converted({7, 255, 9, 0}, 2, 4) == Samples{7, 7, 7, 255, 9, 9, 9, 0});
  CHECK(converted({7, 9}, 1, 3) == Samples{7, 7, 7, 9, 9, 9});
  const Samples many = generate(100, 99, 3);  // of more than one call
  Samples same(many.size());
  wimm::convert_pixels(converted(many, 3, 4), 4, same, 3);
  CHECK(same == many);
  for (const auto& [from, to] : {std::pair{3, 2}, {5, 3}, {3, 25}, {0, 3}})
    CHECK(code_of([&, from = from, to = to] { wimm::convert_pixels({}, from, {}, to); }) == ErrorCode::input_shape);
}

TEST_CASE("an image of the longest side is preprocessed in little memory") {
  const std::vector<uint8_t> pixels(wimm::max_image_side, 255);
  wimm::PreprocessOptions options;
  options.mean = {0, 0, 0};
  options.std = {1, 1, 1};
  for (const auto interpolation : {wimm::Interpolation::nearest, wimm::Interpolation::bicubic}) {
    options.interpolation = interpolation;
    const wimm::FloatTensor result = wimm::preprocess({pixels, 1, wimm::max_image_side, 1}, options);
    CHECK(result.data == std::vector<float>(224 * 224, 1.0f));
  }
}

TEST_CASE("an image without pixels, or with another number of samples than its size says, is an input_shape error") {
  const std::vector<uint8_t> pixels(12);
  for (const wimm::ImageView& image :
       {wimm::ImageView{{}, 0, 4, 3}, wimm::ImageView{{}, 4, 0, 3}, wimm::ImageView{{}, -1, -4, 3},
        wimm::ImageView{{}, 2, 2, 0}, wimm::ImageView{pixels, 2, 2, 4}, wimm::ImageView{pixels, 2, 1, 3}}) {
    CAPTURE(image.width);
    CAPTURE(image.height);
    CHECK(code_of([&] { wimm::preprocess(image, {}); }) == ErrorCode::input_shape);
    CHECK(code_of([&] { wimm::resize(image, 2, 2, wimm::Interpolation::bicubic); }) == ErrorCode::input_shape);
  }
  CHECK(code_of([&] { wimm::resize({pixels, 2, 2, 3}, 0, 2, wimm::Interpolation::bicubic); }) ==
        ErrorCode::input_shape);
}

TEST_CASE("an image that is too large is a limit_exceeded error") {
  const std::vector<uint8_t> pixels(12);
  CHECK(code_of([&] { wimm::preprocess({pixels, 65'536, 1, 3}, {}); }) == ErrorCode::limit_exceeded);
  CHECK(code_of([&] { wimm::resize({pixels, 2, 2, 3}, 2, 65'536, wimm::Interpolation::nearest); }) ==
        ErrorCode::limit_exceeded);
  wimm::PreprocessOptions options;
  options.max_pixels = 3;
  CHECK(code_of([&] { wimm::preprocess({pixels, 2, 2, 3}, options); }) == ErrorCode::limit_exceeded);
  options = {.height = 65'535, .width = 65'535};
  CHECK(code_of([&] { wimm::preprocess({pixels, 2, 2, 3}, options); }) == ErrorCode::limit_exceeded);
}

TEST_CASE("an image too narrow for border mode, which would lose its shorter edge, is an input_shape error") {
  const std::vector<uint8_t> pixels(1000);
  const wimm::PreprocessOptions options{.height = 16, .width = 16, .crop_mode = wimm::CropMode::border};
  CHECK(code_of([&] { wimm::preprocess({pixels, 1, 1000, 1}, options); }) == ErrorCode::input_shape);
}

TEST_CASE("options out of range are invalid_argument errors") {
  const std::vector<uint8_t> pixels(12);
  const auto code_with = [&](const wimm::PreprocessOptions& options) {
    return code_of([&] { wimm::preprocess({pixels, 2, 2, 3}, options); });
  };
  CHECK(code_with({.height = 0}) == ErrorCode::invalid_argument);
  CHECK(code_with({.width = 65'536}) == ErrorCode::invalid_argument);
  for (const double crop_pct : {0.0, -1.0, 1e300, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK(code_with({.crop_pct = crop_pct}) == ErrorCode::invalid_argument);
  }
  CHECK(code_with({.crop_pct = 1e-300}) == ErrorCode::limit_exceeded);
  CHECK(code_with({.std = {1, 1, 0}}) == ErrorCode::invalid_argument);
  CHECK(code_with({.mean = {std::nan(""), 0, 0}}) == ErrorCode::invalid_argument);
  CHECK(code_of([] { wimm::parse_interpolation("lanczos5"); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { wimm::parse_crop_mode("middle"); }) == ErrorCode::invalid_argument);
}

}  // namespace
