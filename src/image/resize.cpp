// PIL's resize: two passes of fixed-point weighted sums, each rounded to 8 bits.
#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "wimm/error.h"

namespace wimm {
namespace {

// Weights are integers in units of 2^-22: 8 bits of sample and 2 bits for overshoot and sign remain of 32.
constexpr int precision_bits = 32 - 8 - 2;
constexpr int32_t one = 1 << precision_bits, half = one / 2;

uint8_t to_sample(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> precision_bits, 0, 255)); }

// What the outputs of one axis are made of: output i is the sum of weights[i * stride + k] * source[begin + first[i] +
// k] for k < count[i]; samples begin … begin + extent are used.
struct AxisTaps {
  int64_t stride, begin = 0, extent = 0;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;

  AxisTaps(int64_t outputs, int64_t max_taps)
      : stride(max_taps), first(outputs), count(outputs), weights(outputs * max_taps) {}

  int64_t outputs() const { return static_cast<int64_t>(first.size()); }

  // Makes `first`, so far counted from the axis's start, relative to the first sample that is used.
  void rebase() {
    begin = *std::min_element(first.begin(), first.end());
    for (int64_t i = 0; i < outputs(); ++i) {
      first[i] -= begin;
      extent = std::max(extent, first[i] + count[i]);
    }
  }
};

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

// Keys' cubic convolution with a = -0.5 (Catmull-Rom).
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

AxisTaps nearest_taps(int64_t in_size, int64_t out_size, int64_t begin, int64_t outputs) {
  AxisTaps taps(outputs, 1);
  const double scale = static_cast<double>(in_size) / out_size;
  double position = scale * 0.5;
  // Summed step by step, as PIL does, so that rounding errors are the same.
  for (int64_t i = 0; i < begin + outputs; ++i, position += scale) {
    if (i < begin) continue;
    taps.first[i - begin] = std::min(static_cast<int64_t>(position), in_size - 1);
    taps.count[i - begin] = 1;
    taps.weights[i - begin] = one;
  }
  taps.rebase();
  return taps;
}

// Weights of outputs begin … begin + outputs of an axis resized from in_size to out_size. The filter is stretched by
// the scale when downscaling, cut at the edges, and normalised to a sum of 1 before it is rounded.
AxisTaps filter_taps(int64_t in_size, int64_t out_size, int64_t begin, int64_t outputs, double (*filter)(double),
                     double radius) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double stretch = std::max(scale, 1.0);
  const double support = radius * stretch;
  AxisTaps taps(outputs, std::min(static_cast<int64_t>(std::ceil(support)) * 2 + 1, in_size));
  std::vector<double> weights(taps.stride);
  for (int64_t i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(begin + i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t count = std::min(static_cast<int64_t>(center + support + 0.5), in_size) - first;
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      weights[k] = filter((static_cast<double>(first + k) - center + 0.5) * (1.0 / stretch));
      sum += weights[k];
    }
    for (int64_t k = 0; k < count; ++k) {
      const double weight = sum != 0 ? weights[k] / sum : weights[k];
      taps.weights[i * taps.stride + k] = static_cast<int32_t>(weight * one + (weight < 0 ? -0.5 : 0.5));
    }
    taps.first[i] = first;
    taps.count[i] = count;
  }
  taps.rebase();
  return taps;
}

AxisTaps axis_taps(int64_t in_size, int64_t out_size, int64_t begin, int64_t outputs, Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::nearest:
      return nearest_taps(in_size, out_size, begin, outputs);
    case Interpolation::bilinear:
      return filter_taps(in_size, out_size, begin, outputs, triangle, 1.0);
    case Interpolation::bicubic:
      return filter_taps(in_size, out_size, begin, outputs, cubic, 2.0);
  }
  throw Error(ErrorCode::invalid_argument, "unknown interpolation");
}

// Resamples `group` adjacent channels of a row whose pixels are `channels` samples apart.
template <int group>
void resample_channels(const uint8_t* row, int64_t channels, const AxisTaps& taps, uint8_t* out) {
  for (int64_t i = 0; i < taps.outputs(); ++i) {
    const uint8_t* source = row + taps.first[i] * channels;
    const int32_t* weights = taps.weights.data() + i * taps.stride;
    const int64_t count = taps.count[i];
    int32_t sums[group];
    std::fill_n(sums, group, half);
    for (int64_t k = 0; k < count; ++k) {
      for (int c = 0; c < group; ++c) sums[c] += weights[k] * source[k * channels + c];
    }
    for (int c = 0; c < group; ++c) out[i * channels + c] = to_sample(sums[c]);
  }
}

// The horizontal pass over `rows` rows that are `row_stride` samples apart; the result is dense.
void resample_rows(const uint8_t* source, int64_t row_stride, int64_t rows, int64_t channels, const AxisTaps& taps,
                   uint8_t* out) {
  for (int64_t y = 0; y < rows; ++y, source += row_stride, out += taps.outputs() * channels) {
    for (int64_t c = 0; c < channels; c += 4) {
      switch (channels - c) {
        case 1:
          resample_channels<1>(source + c, channels, taps, out + c);
          break;
        case 2:
          resample_channels<2>(source + c, channels, taps, out + c);
          break;
        case 3:
          resample_channels<3>(source + c, channels, taps, out + c);
          break;
        default:
          resample_channels<4>(source + c, channels, taps, out + c);
      }
    }
  }
}

// sums += weight · row. A function of its own, since an engine begins to run the optimised code of a function when it
// is called, not in the midst of it.
[[gnu::noinline]] void add_row(const uint8_t* row, int32_t weight, std::span<int32_t> sums) {
  for (size_t x = 0; x < sums.size(); ++x) sums[x] += weight * row[x];
}

// The vertical pass over rows of `row_size` samples that are `row_stride` apart: an output row is a weighted sum of
// whole rows. The result is dense.
void resample_columns(const uint8_t* source, int64_t row_stride, int64_t row_size, const AxisTaps& taps, uint8_t* out) {
  std::vector<int32_t> sums(row_size);
  for (int64_t i = 0; i < taps.outputs(); ++i) {
    std::fill(sums.begin(), sums.end(), half);
    for (int64_t k = 0; k < taps.count[i]; ++k)
      add_row(source + (taps.first[i] + k) * row_stride, taps.weights[i * taps.stride + k], sums);
    std::transform(sums.begin(), sums.end(), out + i * row_size, to_sample);
  }
}

// The order of the passes shows in the rounding between them. Pillow 13 begins with the vertical one where the height
// loses more than twice as many pixels as the width; before, it always began with the horizontal one.
bool vertical_first(const ImageView& image, int64_t width, int64_t height) {
  return height < image.height && image.height - height > 2 * (image.width - width);
}

// An image's buffer; throws limit_exceeded where it could not be addressed.
std::vector<uint8_t> allocate(int64_t height, int64_t width, int64_t channels) {
  const int64_t samples = element_count({height, width, channels});
  if (samples > std::numeric_limits<ptrdiff_t>::max()) {
    throw Error(ErrorCode::limit_exceeded,
                "image of shape " + to_string({height, width, channels}) + " does not fit in memory; make it smaller");
  }
  return std::vector<uint8_t>(static_cast<size_t>(samples));
}

void check_side(int64_t side, const char* name) {
  if (side < 1) {
    throw Error(ErrorCode::input_shape,
                std::string("image ") + name + " is " + std::to_string(side) + "; expected at least 1");
  }
  if (side > max_image_side) {
    throw Error(ErrorCode::limit_exceeded, std::string("image ") + name + " is " + std::to_string(side) +
                                               "; expected at most " + std::to_string(max_image_side));
  }
}

}  // namespace

void check_image(const ImageView& image) {
  check_side(image.width, "width");
  check_side(image.height, "height");
  if (image.channels < 1) {
    throw Error(ErrorCode::input_shape,
                "image has " + std::to_string(image.channels) + " channels; expected at least 1");
  }
  const Shape shape{image.height, image.width, image.channels};
  if (static_cast<uint64_t>(element_count(shape)) != image.pixels.size()) {
    throw Error(ErrorCode::input_shape, "image of shape " + to_string(shape) + " (height, width, channels) has " +
                                            std::to_string(image.pixels.size()) + " samples; expected " +
                                            std::to_string(element_count(shape)));
  }
}

std::vector<uint8_t> resize_window(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation,
                                   const Window& window) {
  const AxisTaps across = axis_taps(image.width, width, window.left, window.width, interpolation);
  const AxisTaps down = axis_taps(image.height, height, window.top, window.height, interpolation);
  const int64_t channels = image.channels, row_stride = image.width * channels;
  const uint8_t* source = image.pixels.data() + down.begin * row_stride + across.begin * channels;
  std::vector<uint8_t> result = allocate(window.height, window.width, channels);
  if (vertical_first(image, width, height)) {
    const int64_t row_size = across.extent * channels;
    std::vector<uint8_t> shrunk = allocate(window.height, across.extent, channels);
    resample_columns(source, row_stride, row_size, down, shrunk.data());
    resample_rows(shrunk.data(), row_size, window.height, channels, across, result.data());
  } else {
    const int64_t row_size = window.width * channels;
    std::vector<uint8_t> shrunk = allocate(down.extent, window.width, channels);
    resample_rows(source, row_stride, down.extent, channels, across, shrunk.data());
    resample_columns(shrunk.data(), row_size, row_size, down, result.data());
  }
  return result;
}

std::vector<uint8_t> resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation) {
  check_image(image);
  check_side(width, "width");
  check_side(height, "height");
  return resize_window(image, width, height, interpolation, {0, 0, width, height});
}

}  // namespace wimm
