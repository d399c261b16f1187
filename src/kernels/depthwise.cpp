// Depthwise convolution. Sixteen channels of a few rows are copied between zero borders, so that no window needs care
// at the edges and all that one pass reads stays in the first cache; a tile of the output, eight columns by four
// channels, stays in registers while the window passes over it. Where a pointwise convolution gives the input its
// channels, its products are computed in the copy's place: they are never in memory all at once.
#include <algorithm>
#include <optional>

#include "graph/shapes.h"
#include "kernels/activations.h"
#include "kernels/conv2d.h"
#include "kernels/gemm.h"
#include "kernels/prefetch.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

constexpr int64_t block = 16, tile_columns = 8;
constexpr int64_t strip_floats = 8 << 10;  // of the input at a time
constexpr int64_t pieces_a_thread = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

class DepthwiseKernel final : public Kernel {
 public:
  DepthwiseKernel(const Conv2d& op, const Strides& strides, const FoldedWeights& weights, std::optional<Gemm> expansion)
      : op_(op),
        channels_(op.out_channels),
        blocks_(ceil_div(channels_, block)),
        window_(op.kernel[0] * op.kernel[1]),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output),
        range_(output_range(op.activation)),
        bias_(weights.bias),
        expansion_(std::move(expansion)) {
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
    const int64_t wanted = pool.size() == 1 ? 1 : pool.size() * pieces_a_thread;
    strip_rows_ = 1;
    while (strip_rows_ < out_[1] && covered(strip_rows_ + 1, 0) * padded_width_ * block <= strip_floats) ++strip_rows_;
    const int64_t strips = ceil_div(out_[1], strip_rows_);
    strip_rows_ = ceil_div(out_[1], strips);  // as even as can be
    // What is copied comes in whole pixels: all channels of a strip follow each other. What is computed is better kept
    // for the next strip than computed again.
    const int64_t bands = expansion_ ? std::min(ceil_div(wanted, out_[0] * blocks_), strips) : strips;
    band_rows_ = ceil_div(strips, bands) * strip_rows_;
    bands_ = ceil_div(out_[1], band_rows_);
    scratch_floats_ = (covered(strip_rows_, 0) * padded_width_ + out_width_) * block;
    tasks_ = out_[0] * bands_ * blocks_;
    pieces_ = std::min(tasks_, wanted);
    return static_cast<size_t>(pieces_ * scratch_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    float* scratch = reinterpret_cast<float*>(workspace);
    pool.parallel_for(pieces_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t i = piece * tasks_ / pieces_; i < (piece + 1) * tasks_ / pieces_; ++i) {
          const int64_t image = i / blocks_ / bands_, band = i / blocks_ % bands_;
          const float* const pixels = inputs[0] + image * in_[1] * in_[2] * in_stride_;
          if (i % blocks_ == 0 && !expansion_) bring_strip(pixels, band * band_rows_);
          convolve(pixels, band * band_rows_, i % blocks_, scratch + piece * scratch_floats_,
                   output + image * out_[1] * out_[2] * out_stride_);
        }
    });
  }

  size_t weight_bytes() const override {
    return (weight_.size() + bias_.size()) * sizeof(float) + (expansion_ ? expansion_->weight_bytes() : 0);
  }

 private:
  // Rows (axis 0) or columns (1) of the padded input that so many of the output need.
  int64_t covered(int64_t count, int axis) const {
    return (count - 1) * op_.stride[axis] + (op_.kernel[axis] - 1) * op_.dilation[axis] + 1;
  }

  // Brings what rows of the output from `first` on need, and those before did not, into cache.
  void bring_strip(const float* image, int64_t first) const {
    const int64_t top = first * op_.stride[0] - padding_.top;
    const int64_t begin = first == 0 ? 0 : std::clamp<int64_t>(top + covered(0, 0), 0, in_[1]),
                  end = std::clamp<int64_t>(top + covered(std::min(strip_rows_, out_[1] - first), 0), begin, in_[1]);
    const auto* bytes = reinterpret_cast<const std::byte*>(image);
    const int64_t row_bytes = in_[2] * in_stride_ * static_cast<int64_t>(sizeof(float));
    bring_to_cache(bytes + begin * row_bytes, bytes + end * row_bytes);
  }

  // A band of the output from row `first` on, strip by strip, of one block of channels.
  void convolve(const float* image, int64_t first, int64_t b, float* scratch, float* output) const {
    const int64_t width = std::min(block, channels_ - b * block), row_floats = padded_width_ * block;
    const bool finished = is_clamp(op_.activation) && width % 4 == 0;
    float* row = scratch + covered(strip_rows_, 0) * row_floats;
    const int64_t last = std::min(first + band_rows_, out_[1]);
    int64_t kept = 0;  // rows of the strip before that this one needs too
    for (; first < last; first += strip_rows_) {
      const int64_t rows = std::min(strip_rows_, last - first), top = first * op_.stride[0] - padding_.top;
      std::copy_n(scratch + strip_rows_ * op_.stride[0] * row_floats, kept * row_floats, scratch);
      for (int64_t y = kept; y < covered(rows, 0); ++y) fill_row(image, top + y, b, scratch + y * row_floats);
      kept = std::max<int64_t>(0, covered(0, 0));
      for (int64_t y = 0; y < rows; ++y) {
        const Rows<float> to{output + (first + y) * out_[2] * out_stride_ + b * block, out_stride_};
        convolve_row(scratch + y * op_.stride[0] * row_floats, b, finished ? to : Rows<float>{row, block});
        if (!finished) apply_activation(op_.activation, Rows<const float>{row, block}, to, out_[2], width);
      }
    }
  }

  // Row y of a block of the image between zeros; all zeros beyond its edges.
  void fill_row(const float* image, int64_t y, int64_t b, float* to) const {
    if (y < 0 || y >= in_[1]) {
      std::fill_n(to, padded_width_ * block, 0.0f);
      return;
    }
    const int64_t left = padding_.left * block, right = left + in_[2] * block;
    std::fill_n(to, left, 0.0f);
    const float* from = image + y * in_[2] * in_stride_;
    if (expansion_)
      expand_row(from, b, to + left);
    else
      copy_row(from + b * block, to + left);
    std::fill(to + right, to + padded_width_ * block, 0.0f);
  }

  void copy_row(const float* from, float* to) const {
    for (float* pixel = to; pixel != to + in_[2] * block; pixel += block, from += in_stride_)
#pragma GCC unroll 4
      for (ptrdiff_t c = 0; c < block; c += 4) store(pixel + c, load(from + c));
  }

  void expand_row(const float* from, int64_t b, float* to) const {
    const int64_t first_panel = b * block / panel_columns;
    const int64_t last_panel = ceil_div(std::min((b + 1) * block, channels_), panel_columns);
    for (int64_t x = 0; x < in_[2]; x += Gemm::most_rows)
      expansion_->multiply(from + x * in_stride_, in_stride_, std::min(Gemm::most_rows, in_[2] - x), first_panel,
                           last_panel, to + x * block, block);
    const Activation activation = op_.expansion[0].activation;
    if (!is_clamp(activation)) apply_activation(activation, to, to, in_[2] * block);
  }

  void convolve_row(const float* rows, int64_t b, Rows<float> out) const {
    const bool dense = op_.dilation[1] == 1;
    const auto [kernel, stride] = std::pair(op_.kernel[1], op_.stride[1]);
    if (dense && kernel == 3 && stride == 1) return convolve_tiles<3, 1>(rows, b, out);
    if (dense && kernel == 3 && stride == 2) return convolve_tiles<3, 2>(rows, b, out);
    if (dense && kernel == 5 && stride == 1) return convolve_tiles<5, 1>(rows, b, out);
    if (dense && kernel == 5 && stride == 2) return convolve_tiles<5, 2>(rows, b, out);
    convolve_tiles<0, 0>(rows, b, out);
  }

  // For a kernel's width and stride, where they are known, a column of the input is read once for all outputs that it
  // is in.
  template <ptrdiff_t kernel, ptrdiff_t stride>
  void convolve_tiles(const float* rows, int64_t b, Rows<float> out) const {
    const ptrdiff_t width = out_[2], height = op_.kernel[0], next_row = op_.dilation[0] * padded_width_ * block;
    const ptrdiff_t lanes = std::min(block, channels_ - b * block);
    const ptrdiff_t step = op_.stride[1] * block, next = op_.dilation[1] * block, taps = op_.kernel[1];
    const f32x4 low = splat(range_.first), high = splat(range_.second);
    for (ptrdiff_t x = 0; x < width; x += tile_columns, rows += tile_columns * step)
      for (ptrdiff_t half = 0; half < lanes; half += 4) {
        const float* weight = &weight_[b * window_ * block] + half;
        const float* row = rows + half;
        f32x4 sums[tile_columns];
        std::fill_n(sums, tile_columns, load(&bias_[b * block] + half));
        for (ptrdiff_t y = 0; y < height; ++y, row += next_row) {
          if constexpr (kernel > 0) {
            f32x4 weights[kernel];
            for (ptrdiff_t k = 0; k < kernel; ++k, weight += block) weights[k] = load(weight);
#pragma GCC unroll 32
            for (ptrdiff_t j = 0; j < (tile_columns - 1) * stride + kernel; ++j) {
              const f32x4 value = load(row + j * block);
#pragma GCC unroll 8
              for (ptrdiff_t i = 0; i < tile_columns; ++i)
                if (j >= i * stride && j < i * stride + kernel)
                  sums[i] = multiply_add(value, weights[j - i * stride], sums[i]);
            }
          } else {
            const float* from = row;
            for (ptrdiff_t k = 0; k < taps; ++k, from += next, weight += block) {
              const f32x4 factor = load(weight);
#pragma GCC unroll 8
              for (ptrdiff_t i = 0; i < tile_columns; ++i)
                sums[i] = multiply_add(load(from + i * step), factor, sums[i]);
            }
          }
        }
        float* to = out.data + x * static_cast<ptrdiff_t>(out.stride) + half;
#pragma GCC unroll 8
        for (ptrdiff_t i = 0; i < tile_columns; ++i, to += out.stride)
          if (x + i < width) store(to, clamp(sums[i], low, high));
      }
  }

  Conv2d op_;
  int64_t channels_, blocks_, window_, in_stride_, out_stride_;
  std::pair<float, float> range_;     // of results before the activation, where that is a clamp
  std::vector<float> weight_, bias_;  // [blocks, window, 16] and [blocks, 16]
  std::optional<Gemm> expansion_;     // without its activation, unless that is a clamp
  Shape in_, out_;
  Padding padding_;
  int64_t out_width_ = 0, padded_width_ = 0;  // whole tiles, and what they read
  int64_t strip_rows_ = 0;                    // of the output
  int64_t band_rows_ = 0, bands_ = 0;         // whole strips
  int64_t tasks_ = 0, pieces_ = 0, scratch_floats_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_depthwise(const Conv2d& op, int64_t channels, const Strides& strides,
                                       std::string_view layer, ParameterReader& reader) {
  std::optional<Gemm> expansion;
  if (!op.expansion.empty()) {
    const Conv2d& pointwise = op.expansion[0];
    expansion.emplace(pointwise.out_channels, channels,
                      is_clamp(pointwise.activation) ? pointwise.activation : Activation::identity);
    expansion->pack(read_folded(pointwise, pointwise.name, reader), reader.pool());
  }
  return std::make_unique<DepthwiseKernel>(op, strides, read_folded(op, layer, reader), std::move(expansion));
}

}  // namespace wimm
