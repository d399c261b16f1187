// Convolutions in integers: an image is quantised once by its own range, with its padding, and its windows are the rows
// of a matrix product, where they lie.
#include <algorithm>

#include "kernels/conv2d.h"
#include "kernels/int8_gemm.h"

namespace wimm {
namespace {

class Int8ConvKernel final : public Kernel {
 public:
  Int8ConvKernel(const Conv2d& op, int64_t channels, const Strides& strides, std::string_view layer,
                 ParameterReader& reader)
      : op_(op),
        channels_(channels),
        pixel_(padded_count(channels)),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        gemm_(read_weights(op, channels, layer, reader), taps(op), channels, op.activation, reader.pool()) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    in_ = inputs[0];
    out_ = output;
    padded_ = padded_image(op_, in_, out_);
    scales_.resize(static_cast<size_t>(in_[0]));
    ranges_.resize(static_cast<size_t>(in_[0] * in_[1]));
    gemm_.reshape(out_[0] * out_[1] * out_[2], pool, segments());
    return static_cast<size_t>(in_[0] * padded_.size[0] * padded_.size[1] * pixel_) * sizeof(Quantized);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* const images = reinterpret_cast<Quantized*>(workspace);
    find_scales(inputs[0], pool);
    quantize_images(inputs[0], images, pool);
    gemm_.run_quantized(output, out_stride_, pool,
                        [&](int64_t first, std::span<const Quantized*> rows, std::span<QuantizedScale> scales) {
                          locate_windows(op_, out_, images, padded_.size, pixel_, first, rows);
                          for (auto& scale : scales) scale = scales_[first++ / (out_[1] * out_[2])];
                        });
  }

  size_t weight_bytes() const override { return gemm_.weight_bytes(); }

 private:
  static int64_t taps(const Conv2d& op) { return op.kernel[0] * op.kernel[1]; }

  static FoldedWeights read_weights(const Conv2d& op, int64_t channels, std::string_view layer,
                                    ParameterReader& reader) {
    FoldedWeights weights = read_folded(op, layer, reader);
    weights.weight = channels_last(std::move(weights.weight), op.out_channels, channels, taps(op));
    return weights;
  }

  // Of a window: a line of the kernel each, or a pixel where there are gaps.
  Int8Gemm::Segments segments() const {
    const bool gapless = op_.dilation[1] == 1;
    Int8Gemm::Segments segments{.length = pixel_ * (gapless ? op_.kernel[1] : 1), .offsets = {}};
    for (int64_t y = 0; y < op_.kernel[0]; ++y)
      for (int64_t x = 0; x < (gapless ? 1 : op_.kernel[1]); ++x)
        segments.offsets.push_back((y * op_.dilation[0] * padded_.size[1] + x * op_.dilation[1]) * pixel_);
    return segments;
  }

  // Calls task(span, offset) for the floats of a line, in spans without gaps: whole, or a pixel each.
  template <class Task>
  void for_each_span(const float* line, bool whole, Task&& task) const {
    if (whole) return task(std::span(line, static_cast<size_t>(in_[2] * channels_)), 0);
    for (int64_t x = 0; x < in_[2]; ++x)
      task(std::span(line + x * in_stride_, static_cast<size_t>(channels_)), x * pixel_);
  }

  void find_scales(const float* input, ThreadPool& pool) {
    const int64_t lines = in_[0] * in_[1];
    const auto widen = [](std::pair<float, float>& range, std::pair<float, float> by) {
      range = {std::min(range.first, by.first), std::max(range.second, by.second)};
    };
    pool.parallel_for(lines, grain(lines, pool), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::pair<float, float> range{0, 0};
        for_each_span(input + i * in_[2] * in_stride_, in_stride_ == channels_,
                      [&](std::span<const float> x, int64_t) { widen(range, range_of(x)); });
        ranges_[i] = range;
      }
    });
    for (int64_t n = 0; n < in_[0]; ++n) {
      std::pair<float, float> range{0, 0};
      for (int64_t y = 0; y < in_[1]; ++y) widen(range, ranges_[n * in_[1] + y]);
      scales_[n] = scale_of(range);
    }
  }

  void quantize_images(const float* input, Quantized* images, ThreadPool& pool) const {
    const int64_t lines = in_[0] * padded_.size[0], elements = padded_.size[1] * pixel_;
    const int64_t left = padded_.before[1] * pixel_, right = left + in_[2] * pixel_;
    const bool whole = in_stride_ == channels_ && pixel_ == channels_;
    pool.parallel_for(lines, grain(lines, pool), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / padded_.size[0], y = i % padded_.size[0] - padded_.before[0];
        const QuantizedScale scale = scales_[n];
        const auto zero = static_cast<Quantized>(scale.zero);
        Quantized* const line = images + i * elements;
        if (y < 0 || y >= in_[1]) {
          std::fill_n(line, elements, zero);
          continue;
        }
        std::fill(line, line + left, zero);
        for_each_span(input + (n * in_[1] + y) * in_[2] * in_stride_, whole,
                      [&](std::span<const float> x, int64_t offset) { quantize(x, scale, line + left + offset); });
        std::fill(line + right, line + elements, zero);
      }
    });
  }

  static int64_t grain(int64_t lines, const ThreadPool& pool) {
    return std::max<int64_t>(1, lines / (pool.size() * 4));
  }

  Conv2d op_;
  int64_t channels_, pixel_, in_stride_, out_stride_;  // a pixel of the quantised image, in elements
  Int8Gemm gemm_;
  Shape in_, out_;
  PaddedImage padded_{};
  std::vector<std::pair<float, float>> ranges_;  // of each line of each image
  std::vector<QuantizedScale> scales_;           // of each image
};

}  // namespace

std::unique_ptr<Kernel> make_int8_conv(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader) {
  return std::make_unique<Int8ConvKernel>(op, channels, strides, layer, reader);
}

}  // namespace wimm
