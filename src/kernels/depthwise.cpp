// Depthwise convolution with kernels larger than XNNPACK has micro-kernels for: 7×7, 9×9 and so on.
//
// The image is copied between zero borders, so that no window needs care at the edges. A tile of the output, four
// columns by eight channels, stays in registers while the window passes over it.
#include <algorithm>

#include "graph/shapes.h"
#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

constexpr int64_t block = 8, tile_columns = 4, xnnpack_largest_window = 25;

int64_t block_count(int64_t channels) { return (channels + block - 1) / block; }

class DepthwiseKernel final : public Kernel {
 public:
  DepthwiseKernel(const Conv2d& op, const Strides& strides, const FoldedWeights& weights)
      : op_(op),
        channels_(op.out_channels),
        window_(op.kernel[0] * op.kernel[1]),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        bias_(weights.bias) {
    bias_.resize(static_cast<size_t>(block_count(channels_) * block));
    weight_.resize(static_cast<size_t>(block_count(channels_) * window_ * block));
    for (int64_t c = 0; c < channels_; ++c)
      for (int64_t k = 0; k < window_; ++k)
        weight_[(c / block * window_ + k) * block + c % block] = weights.weight[c * window_ + k];
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    padding_ = resolve_padding({in_[1], in_[2]}, op_.kernel, op_.stride, op_.dilation, op_.padding, false);
    padded_height_ = in_[1] + padding_.top + padding_.bottom;
    padded_row_ = (in_[2] + padding_.left + padding_.right) * channels_;
    return (static_cast<size_t>(padded_height_ * padded_row_) + overread_floats) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    float* padded = reinterpret_cast<float*>(workspace);
    const int64_t image = in_[1] * in_[2] * in_stride_, row = out_[2] * out_stride_;
    for (int64_t n = 0; n < in_[0]; ++n) {
      pool.parallel_for(padded_height_, 8, [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) pad_row(inputs[0] + n * image, y, padded + y * padded_row_);
      });
      pool.parallel_for(out_[1], 1, [&](int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; ++y) {
          float* out = output + (n * out_[1] + y) * row;
          convolve_row(padded + y * op_.stride[0] * padded_row_, out);
          for (int64_t x = 0; x < out_[2]; ++x)
            apply_activation(op_.activation, out + x * out_stride_, out + x * out_stride_, channels_);
        }
      });
    }
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }

 private:
  void pad_row(const float* image, int64_t y, float* padded) const {
    const int64_t source = y - padding_.top, left = padding_.left * channels_, size = in_[2] * channels_;
    if (source < 0 || source >= in_[1]) {
      std::fill_n(padded, padded_row_, 0.0f);
      return;
    }
    std::fill_n(padded, left, 0.0f);
    const float* row = image + source * in_[2] * in_stride_;
    for (int64_t x = 0; x < in_[2]; ++x) std::copy_n(row + x * in_stride_, channels_, padded + left + x * channels_);
    std::fill(padded + left + size, padded + padded_row_, 0.0f);
  }

  void convolve_row(const float* rows, float* out) const {
    const int64_t step = op_.stride[1] * channels_;
    for (int64_t b = 0; b < block_count(channels_); ++b) {
      const int64_t c = b * block;
      int64_t x = 0;
      for (; x + tile_columns <= out_[2]; x += tile_columns)
        convolve_tile<tile_columns>(rows + x * step + c, b, out + x * out_stride_ + c);
      for (; x < out_[2]; ++x) convolve_tile<1>(rows + x * step + c, b, out + x * out_stride_ + c);
    }
  }

  template <int columns>
  void convolve_tile(const float* rows, int64_t b, float* out) const {
    const int64_t step = op_.stride[1] * channels_;
    const float* weight = &weight_[b * window_ * block];
    f32x4 low[columns], high[columns];
    std::fill_n(low, columns, load(&bias_[b * block]));
    std::fill_n(high, columns, load(&bias_[b * block + 4]));
    for (int64_t y = 0; y < op_.kernel[0]; ++y) {
      const float* x = rows + y * op_.dilation[0] * padded_row_;
      for (int64_t k = 0; k < op_.kernel[1]; ++k, x += op_.dilation[1] * channels_, weight += block) {
        const f32x4 weight_low = load(weight), weight_high = load(weight + 4);
#pragma GCC unroll 4
        for (int i = 0; i < columns; ++i) {
          low[i] = multiply_add(load(x + i * step), weight_low, low[i]);
          high[i] = multiply_add(load(x + i * step + 4), weight_high, high[i]);
        }
      }
    }
    const int64_t width = std::min(block, channels_ - b * block);
    for (int i = 0; i < columns; ++i) store_block(out + i * out_stride_, low[i], high[i], width);
  }

  static void store_block(float* out, f32x4 low, f32x4 high, int64_t width) {
    if (width == block) {
      store(out, low);
      store(out + 4, high);
    } else {
      for (int64_t k = 0; k < width; ++k) out[k] = k < 4 ? low[k] : high[k - 4];
    }
  }

  Conv2d op_;
  int64_t channels_, window_, in_stride_, out_stride_;
  std::vector<float> weight_, bias_;  // [blocks, window, 8] and [blocks, 8]
  Shape in_, out_;
  Padding padding_;
  int64_t padded_height_ = 0, padded_row_ = 0;
};

}  // namespace

bool suits_depthwise(const Conv2d& op, int64_t channels) {
  return op.groups == channels && op.out_channels == channels && op.kernel[0] * op.kernel[1] > xnnpack_largest_window;
}

std::unique_ptr<Kernel> make_depthwise(const Conv2d& op, const Strides& strides, std::string_view layer,
                                       ParameterReader& reader) {
  return std::make_unique<DepthwiseKernel>(op, strides, read_folded(op, layer, reader));
}

}  // namespace wimm
