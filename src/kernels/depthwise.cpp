// Depthwise convolution. Eight channels of a few rows are copied between zero borders, so that no window needs care at
// the edges and all that one pass reads stays in the first cache; a tile of the output, four columns by eight channels,
// stays in registers while the window passes over it.
#include <algorithm>

#include "graph/shapes.h"
#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

constexpr int64_t block = 8, tile_columns = 4;
constexpr int64_t strip_floats = 8 << 10;  // of the input at a time
constexpr int64_t pieces_a_thread = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

class DepthwiseKernel final : public Kernel {
 public:
  DepthwiseKernel(const Conv2d& op, const Strides& strides, const FoldedWeights& weights)
      : op_(op),
        channels_(op.out_channels),
        blocks_(ceil_div(channels_, block)),
        window_(op.kernel[0] * op.kernel[1]),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        bias_(weights.bias) {
    bias_.resize(static_cast<size_t>(blocks_ * block));
    weight_.resize(static_cast<size_t>(blocks_ * window_ * block));
    for (int64_t c = 0; c < channels_; ++c)
      for (int64_t k = 0; k < window_; ++k)
        weight_[(c / block * window_ + k) * block + c % block] = weights.weight[c * window_ + k];
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    in_ = inputs[0];
    out_ = output;
    padding_ = resolve_padding({in_[1], in_[2]}, op_.kernel, op_.stride, op_.dilation, op_.padding, false);
    out_width_ = ceil_div(out_[2], tile_columns) * tile_columns;
    padded_width_ = std::max(covered(out_width_, 1), in_[2] + padding_.left);
    strip_rows_ = 1;
    while (strip_rows_ < out_[1] && covered(strip_rows_ + 1, 0) * padded_width_ * block <= strip_floats) ++strip_rows_;
    strips_ = ceil_div(out_[1], strip_rows_);
    strip_rows_ = ceil_div(out_[1], strips_);  // as even as can be
    scratch_floats_ = (covered(strip_rows_, 0) * padded_width_ + out_width_) * block;
    tasks_ = out_[0] * strips_ * blocks_;
    pieces_ = std::min<int64_t>(tasks_, pool.size() == 1 ? 1 : pool.size() * pieces_a_thread);
    return static_cast<size_t>(pieces_ * scratch_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    float* scratch = reinterpret_cast<float*>(workspace);
    pool.parallel_for(pieces_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t i = piece * tasks_ / pieces_; i < (piece + 1) * tasks_ / pieces_; ++i) {
          const int64_t image = i / blocks_ / strips_, strip = i / blocks_ % strips_;
          convolve(inputs[0] + image * in_[1] * in_[2] * in_stride_, strip * strip_rows_, i % blocks_,
                   scratch + piece * scratch_floats_, output + image * out_[1] * out_[2] * out_stride_);
        }
    });
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }

 private:
  // Rows (axis 0) or columns (1) of the padded input that so many of the output need.
  int64_t covered(int64_t count, int axis) const {
    return (count - 1) * op_.stride[axis] + (op_.kernel[axis] - 1) * op_.dilation[axis] + 1;
  }

  // Rows of the output from `first` on, of one block of channels.
  void convolve(const float* image, int64_t first, int64_t b, float* scratch, float* output) const {
    const int64_t rows = std::min(strip_rows_, out_[1] - first), width = std::min(block, channels_ - b * block);
    const int64_t top = first * op_.stride[0] - padding_.top;
    for (int64_t y = 0; y < covered(rows, 0); ++y)
      copy_row(image, top + y, b * block, scratch + y * padded_width_ * block);
    float* row = scratch + covered(strip_rows_, 0) * padded_width_ * block;
    for (int64_t y = 0; y < rows; ++y) {
      for (int64_t x = 0; x < out_width_; x += tile_columns)
        convolve_tile(scratch + (y * op_.stride[0] * padded_width_ + x * op_.stride[1]) * block, b, row + x * block);
      if (op_.activation != Activation::identity) apply_activation(op_.activation, row, row, out_[2] * block);
      float* to = output + (first + y) * out_[2] * out_stride_ + b * block;
      for (int64_t x = 0; x < out_[2]; ++x) copy_block(row + x * block, to + x * out_stride_, width);
    }
  }

  // Row y of the image between zeros; all zeros beyond its edges.
  void copy_row(const float* image, int64_t y, int64_t channel, float* to) const {
    if (y < 0 || y >= in_[1]) {
      std::fill_n(to, padded_width_ * block, 0.0f);
      return;
    }
    const int64_t left = padding_.left * block, right = left + in_[2] * block;
    std::fill_n(to, left, 0.0f);
    const float* from = image + y * in_[2] * in_stride_ + channel;
    for (int64_t x = 0; x < in_[2]; ++x) copy_block(from + x * in_stride_, to + left + x * block, block);
    std::fill(to + right, to + padded_width_ * block, 0.0f);
  }

  void convolve_tile(const float* rows, int64_t b, float* out) const {
    const int64_t step = op_.stride[1] * block, next = op_.dilation[1] * block;
    const float* weight = &weight_[b * window_ * block];
    f32x4 low[tile_columns], high[tile_columns];
    std::fill_n(low, tile_columns, load(&bias_[b * block]));
    std::fill_n(high, tile_columns, load(&bias_[b * block + 4]));
    for (int64_t y = 0; y < op_.kernel[0]; ++y) {
      const float* x = rows + y * op_.dilation[0] * padded_width_ * block;
      for (int64_t k = 0; k < op_.kernel[1]; ++k, x += next, weight += block) {
        const f32x4 weight_low = load(weight), weight_high = load(weight + 4);
#pragma GCC unroll 4
        for (int i = 0; i < tile_columns; ++i) {
          low[i] = multiply_add(load(x + i * step), weight_low, low[i]);
          high[i] = multiply_add(load(x + i * step + 4), weight_high, high[i]);
        }
      }
    }
    for (int i = 0; i < tile_columns; ++i) {
      store(out + i * block, low[i]);
      store(out + i * block + 4, high[i]);
    }
  }

  static void copy_block(const float* from, float* to, int64_t width) {
    if (width < block) {
      std::copy_n(from, width, to);
      return;
    }
    const f32x4 low = load(from), high = load(from + 4);
    store(to, low);
    store(to + 4, high);
  }

  Conv2d op_;
  int64_t channels_, blocks_, window_, in_stride_, out_stride_;
  std::vector<float> weight_, bias_;  // [blocks, window, 8] and [blocks, 8]
  Shape in_, out_;
  Padding padding_;
  int64_t out_width_ = 0, padded_width_ = 0;  // whole tiles, and what they read
  int64_t strip_rows_ = 0, strips_ = 0;       // of the output
  int64_t tasks_ = 0, pieces_ = 0, scratch_floats_ = 0;
};

}  // namespace

bool is_depthwise(const Conv2d& op, int64_t channels) { return op.groups == channels && op.out_channels == channels; }

std::unique_ptr<Kernel> make_depthwise(const Conv2d& op, const Strides& strides, std::string_view layer,
                                       ParameterReader& reader) {
  return std::make_unique<DepthwiseKernel>(op, strides, read_folded(op, layer, reader));
}

}  // namespace wimm
