// Convolutions in integers: an image is quantised once by its own range, with its padding, and windows are copied from
// it as the rows of a matrix product.
#include <algorithm>

#include "kernels/conv2d.h"
#include "kernels/int8_gemm.h"

namespace wimm {
namespace {

class Int8ConvKernel final : public Kernel {
 public:
  Int8ConvKernel(const Conv2d& op, int64_t channels, const Strides& strides, const FoldedWeights& weights)
      : op_(op),
        channels_(channels),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        gemm_({channels_last(weights.weight, op.out_channels, channels, op.kernel[0] * op.kernel[1]), weights.bias},
              op.kernel[0] * op.kernel[1] * channels, op.activation) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    in_ = inputs[0];
    out_ = output;
    padded_ = padded_image(op_, in_, out_);
    scales_.resize(static_cast<size_t>(in_[0]));
    ranges_.resize(static_cast<size_t>(in_[0] * in_[1]));
    image_elements_ = padded_.size[0] * padded_.size[1] * channels_;
    const size_t images = static_cast<size_t>(in_[0] * image_elements_) * sizeof(Quantized);
    gemm_offset_ = (images + 63) / 64 * 64;
    return gemm_offset_ + gemm_.reshape(output[0] * output[1] * output[2], pool);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* const images = reinterpret_cast<Quantized*>(workspace);
    quantize_images(inputs[0], images, pool);
    gemm_.run_quantized(output, out_stride_, workspace + gemm_offset_, pool,
                        [&](int64_t first, std::span<QuantizedScale> scales, Quantized* rows) {
                          for (size_t r = 0; r < scales.size(); ++r, rows += gemm_.row_elements())
                            scales[r] = copy_window(images, first + static_cast<int64_t>(r), rows);
                        });
  }

  size_t weight_bytes() const override { return gemm_.weight_bytes(); }

 private:
  // The window of an output, as a row.
  QuantizedScale copy_window(const Quantized* images, int64_t index, Quantized* to) const {
    const int64_t n = index / (out_[1] * out_[2]), pixel = index % (out_[1] * out_[2]);
    const int64_t line = padded_.size[1] * channels_, y = pixel / out_[2], x = pixel % out_[2];
    const Quantized* window = images + n * image_elements_ + y * op_.stride[0] * line + x * op_.stride[1] * channels_;
    const Quantized* const end = to + gemm_.row_elements();
    for (int64_t i = 0; i < op_.kernel[0]; ++i, window += op_.dilation[0] * line) to = copy_line(window, to);
    while (to != end) *to++ = 0;
    return scales_[static_cast<size_t>(n)];
  }

  Quantized* copy_line(const Quantized* from, Quantized* to) const {
    if (op_.dilation[1] == 1) return std::copy_n(from, op_.kernel[1] * channels_, to);
    for (int64_t j = 0; j < op_.kernel[1]; ++j) to = std::copy_n(from + j * op_.dilation[1] * channels_, channels_, to);
    return to;
  }

  void quantize_images(const float* input, Quantized* images, ThreadPool& pool) {
    const int64_t rows = in_[0] * in_[1], grain = std::max<int64_t>(1, rows / (pool.size() * 4));
    const auto pixel = [&](int64_t row, int64_t x) {
      return std::span(input + (row * in_[2] + x) * in_stride_, static_cast<size_t>(channels_));
    };
    pool.parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        auto& [low, high] = ranges_[static_cast<size_t>(row)] = {0, 0};
        for (int64_t x = 0; x < in_[2]; ++x) {
          const auto [lowest, highest] = range_of(pixel(row, x));
          low = std::min(low, lowest);
          high = std::max(high, highest);
        }
      }
    });
    for (int64_t n = 0; n < in_[0]; ++n) {
      std::pair<float, float> range{0, 0};
      for (int64_t row = n * in_[1]; row < (n + 1) * in_[1]; ++row) {
        range.first = std::min(range.first, ranges_[static_cast<size_t>(row)].first);
        range.second = std::max(range.second, ranges_[static_cast<size_t>(row)].second);
      }
      const QuantizedScale scale = scales_[static_cast<size_t>(n)] = scale_of(range);
      const auto zero = static_cast<Quantized>(scale.zero);
      pool.parallel_for(padded_.size[0], std::max<int64_t>(1, padded_.size[0] / (pool.size() * 4)),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t y = begin; y < end; ++y) {
                            Quantized* line = images + n * image_elements_ + y * padded_.size[1] * channels_;
                            Quantized* const line_end = line + padded_.size[1] * channels_;
                            const int64_t row = y - padded_.before[0];
                            if (row >= 0 && row < in_[1]) {
                              line = std::fill_n(line, padded_.before[1] * channels_, zero);
                              for (int64_t x = 0; x < in_[2]; ++x, line += channels_)
                                quantize(pixel(n * in_[1] + row, x), scale, line);
                            }
                            std::fill(line, line_end, zero);
                          }
                        });
    }
  }

  Conv2d op_;
  int64_t channels_, in_stride_, out_stride_;
  Int8Gemm gemm_;
  Shape in_, out_;
  PaddedImage padded_{};
  int64_t image_elements_ = 0;
  size_t gemm_offset_ = 0;
  std::vector<std::pair<float, float>> ranges_;  // of each row of each image
  std::vector<QuantizedScale> scales_;           // of each image
};

}  // namespace

std::unique_ptr<Kernel> make_int8_conv(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader) {
  return std::make_unique<Int8ConvKernel>(op, channels, strides, read_folded(op, layer, reader));
}

}  // namespace wimm
