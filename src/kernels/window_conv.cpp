// Convolution, 1×1 too, as a matrix product: a row is a window of the image with its padding, which lies in memory as
// one segment for each line of the kernel.
#include <algorithm>
#include <utility>

#include "kernels/conv2d.h"
#include "kernels/gemm.h"

namespace wimm {
namespace {

class WindowConvKernel final : public Kernel {
 public:
  WindowConvKernel(const Conv2d& op, int64_t channels, const Strides& strides, std::string_view layer,
                   ParameterReader& reader)
      : op_(op),
        channels_(channels),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        gemm_(op.out_channels, op.kernel[0] * op.kernel[1] * channels, op.activation) {
    FoldedWeights weights = read_folded(op, layer, reader);
    weights.weight = channels_last(std::move(weights.weight), op.out_channels, channels, op.kernel[0] * op.kernel[1]);
    gemm_.pack(weights, reader.pool());
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    in_ = inputs[0];
    out_ = output;
    padded_ = padded_image(op_, in_, out_);
    const bool gapless = in_stride_ == channels_ || op_.kernel[1] == 1;
    in_place_ = gapless && padded_.size == Size2d{in_[1], in_[2]};
    pixel_ = in_place_ ? in_stride_ : channels_;
    gemm_.reshape(output[0] * output[1] * output[2], pool, {op_.kernel[0], op_.dilation[0] * padded_.size[1] * pixel_});
    return in_place_ ? 0 : static_cast<size_t>(in_[0] * padded_.size[0] * padded_.size[1] * pixel_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    const float* images = inputs[0];
    if (!in_place_) {
      pad(inputs[0], reinterpret_cast<float*>(workspace), pool);
      images = reinterpret_cast<const float*>(workspace);
    }
    gemm_.run(output, out_stride_, nullptr, pool, [&](int64_t first, std::span<const float*> rows) {
      locate_windows(op_, out_, images, padded_.size, pixel_, first, rows);
    });
  }

  size_t weight_bytes() const override { return gemm_.weight_bytes(); }

 private:
  void pad(const float* input, float* images, ThreadPool& pool) const {
    const int64_t lines = in_[0] * padded_.size[0], floats = padded_.size[1] * channels_;
    pool.parallel_for(lines, std::max<int64_t>(1, lines / (pool.size() * 4)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* line = images + i * floats;
        float* const line_end = line + floats;
        const int64_t n = i / padded_.size[0], y = i % padded_.size[0] - padded_.before[0];
        if (y >= 0 && y < in_[1]) {
          line = std::fill_n(line, padded_.before[1] * channels_, 0.0f);
          const float* pixel = input + (n * in_[1] + y) * in_[2] * in_stride_;
          if (in_stride_ == channels_) {
            line = std::copy_n(pixel, in_[2] * channels_, line);
          } else {
            for (int64_t x = 0; x < in_[2]; ++x, pixel += in_stride_) line = std::copy_n(pixel, channels_, line);
          }
        }
        std::fill(line, line_end, 0.0f);
      }
    });
  }

  Conv2d op_;
  int64_t channels_, in_stride_, out_stride_;
  Gemm gemm_;
  Shape in_, out_;
  PaddedImage padded_{};
  bool in_place_ = false;  // read, with no copy that has the padding
  int64_t pixel_ = 0;      // floats
};

}  // namespace

std::unique_ptr<Kernel> make_window_conv(const Conv2d& op, int64_t channels, const Strides& strides,
                                         std::string_view layer, ParameterReader& reader) {
  return std::make_unique<WindowConvKernel>(op, channels, strides, layer, reader);
}

}  // namespace wimm
