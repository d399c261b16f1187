// Pooling over windows and over whole images.
#include <algorithm>
#include <limits>

#include "graph/shapes.h"
#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// A range of rows or columns.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// One axis of a sliding window.
struct Axis {
  int64_t size = 0, out = 0, kernel = 0, stride = 0, before = 0, after = 0;

  // What the window at `position` covers: of the image, and (as avg_pool counts padding) of the padded image.
  Range inside(int64_t position) const {
    const int64_t start = position * stride - before;
    return {std::max<int64_t>(start, 0), std::min(start + kernel, size)};
  }
  int64_t padded_size(int64_t position, int64_t counted_after) const {
    const int64_t start = position * stride - before;
    return std::min(start + kernel, size + counted_after) - start;
  }
};

// Averages or maxima over windows. Rows of the output are shared among threads.
template <class Pool>
class WindowPoolKernel final : public Kernel {
 public:
  static constexpr bool is_max = std::is_same_v<Pool, MaxPool>;

  WindowPoolKernel(const Pool& op, const Strides& strides)
      : op_(op), in_stride_(strides.inputs[0]), out_stride_(strides.output) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    const Shape& in = inputs[0];
    const Padding p = resolve_padding({in[1], in[2]}, op_.kernel, op_.stride, {1, 1}, op_.padding, op_.ceil_mode);
    rows_ = {in[1], output[1], op_.kernel[0], op_.stride[0], p.top, p.bottom};
    columns_ = {in[2], output[2], op_.kernel[1], op_.stride[1], p.left, p.right};
    batch_ = in[0];
    channels_ = in[3];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(batch_ * rows_.out, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* image = inputs[0] + i / rows_.out * rows_.size * columns_.size * in_stride_;
        for (int64_t column = 0; column < columns_.out; ++column)
          window(image, i % rows_.out, column, output + (i * columns_.out + column) * out_stride_);
      }
    });
  }

 private:
  void window(const float* image, int64_t row, int64_t column, float* out) const {
    const Range rows = rows_.inside(row), columns = columns_.inside(column);
    const float factor = 1.0f / static_cast<float>(divisor(row, column, rows, columns));
    const float* corner = image + (rows.begin * columns_.size + columns.begin) * in_stride_;
    const auto channels = static_cast<ptrdiff_t>(channels_);
    ptrdiff_t c = 0;
    for (; c + 16 <= channels; c += 16) reduce<4>(corner + c, rows.size(), columns.size(), factor, out + c);
    for (; c + 4 <= channels; c += 4) reduce<1>(corner + c, rows.size(), columns.size(), factor, out + c);
    if (c < channels) {  // what is read beyond does not matter
      float last[4];
      reduce<1>(corner + c, rows.size(), columns.size(), factor, last);
      std::copy_n(last, channels - c, out + c);
    }
  }

  // Of so many times four channels.
  template <ptrdiff_t vectors>
  void reduce(const float* corner, int64_t rows, int64_t columns, float factor, float* out) const {
    const ptrdiff_t stride = in_stride_, line = columns_.size * in_stride_;
    f32x4 results[vectors];
    std::fill_n(results, vectors, splat(is_max ? -std::numeric_limits<float>::infinity() : 0));
    for (ptrdiff_t y = 0; y < rows; ++y, corner += line) {
      const float* pixel = corner;
      for (ptrdiff_t x = 0; x < columns; ++x, pixel += stride)
        for (ptrdiff_t v = 0; v < vectors; ++v) {
          const f32x4 value = load(pixel + 4 * v);
          results[v] = is_max ? max(results[v], value) : results[v] + value;
        }
    }
    for (ptrdiff_t v = 0; v < vectors; ++v) store(out + 4 * v, is_max ? results[v] : results[v] * splat(factor));
  }

  // How many values an average is taken over: explicit padding if asked, what ceil_mode adds never, and `same` padding
  // always, since timm pads the image itself.
  int64_t divisor(int64_t row, int64_t column, Range rows, Range columns) const {
    if constexpr (is_max)
      return 1;
    else {
      if (op_.padding.same) return op_.kernel[0] * op_.kernel[1];
      if (!op_.count_include_pad) return rows.size() * columns.size();
      return rows_.padded_size(row, op_.padding.bottom) * columns_.padded_size(column, op_.padding.right);
    }
  }

  Pool op_;
  int64_t in_stride_, out_stride_;  // of pixels
  Axis rows_, columns_;
  int64_t batch_ = 0, channels_ = 0;
};

// Windows that begin and end at the nearest pixels outwards, so that they may overlap.
class AdaptiveAvgPoolKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(out_[0] * out_[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* image = inputs[0] + i / out_[1] * in_[1] * in_[2] * in_[3];
        const Range rows = covered(i % out_[1], in_[1], out_[1]);
        for (int64_t column = 0; column < out_[2]; ++column)
          average(image, rows, covered(column, in_[2], out_[2]), output + (i * out_[2] + column) * in_[3]);
      }
    });
  }

 private:
  static Range covered(int64_t position, int64_t size, int64_t positions) {
    return {position * size / positions, ((position + 1) * size + positions - 1) / positions};
  }

  void average(const float* image, Range rows, Range columns, float* out) const {
    const float factor = 1.0f / static_cast<float>(rows.size() * columns.size());
    std::fill_n(out, in_[3], 0.0f);
    for (int64_t y = rows.begin; y < rows.end; ++y)
      for (int64_t x = columns.begin; x < columns.end; ++x) {
        const float* pixel = image + (y * in_[2] + x) * in_[3];
        for (int64_t c = 0; c < in_[3]; ++c) out[c] += pixel[c] * factor;
      }
  }

  Shape in_, out_;
};

class GlobalPoolKernel final : public Kernel {
 public:
  GlobalPoolKernel(PoolKind kind, int64_t stride) : kind_(kind), stride_(stride) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    const Shape& in = inputs[0];
    batch_ = in[0];
    channels_ = in.back();
    pixels_ = element_count(in) / (batch_ * channels_);
    return 0;
  }

  // Sixteen channels at a time, so that each block of an image is read once, in order.
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t blocks = (channels_ + block - 1) / block;
    pool.parallel_for(batch_ * blocks, std::max<int64_t>(1, blocks / 4), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / blocks, c = i % blocks * block;
        pool_block(inputs[0] + image * pixels_ * stride_ + c, std::min(block, channels_ - c), output, image, c);
      }
    });
  }

 private:
  static constexpr int64_t block = 16;

  void pool_block(const float* x, int64_t width, float* output, int64_t image, int64_t c) const {
    float total[block] = {}, highest[block];
    std::fill_n(highest, block, -std::numeric_limits<float>::infinity());
    if (width == block)
      accumulate(x, block, total, highest);  // a constant width: the compiler vectorises
    else
      accumulate(x, width, total, highest);
    const float scale = 1.0f / static_cast<float>(pixels_);
    const int64_t row = kind_ == PoolKind::catavgmax ? 2 * channels_ : channels_;
    float* out = output + image * row + c;
    for (int64_t k = 0; k < width; ++k) {
      const float average = total[k] * scale;
      if (kind_ == PoolKind::avg) out[k] = average;
      if (kind_ == PoolKind::max) out[k] = highest[k];
      if (kind_ == PoolKind::avgmax) out[k] = 0.5f * (average + highest[k]);
      if (kind_ == PoolKind::catavgmax) {
        out[k] = average;
        out[channels_ + k] = highest[k];
      }
    }
  }

  inline void accumulate(const float* x, int64_t width, float* total, float* highest) const {
    for (int64_t p = 0; p < pixels_; ++p, x += stride_)
      for (int64_t k = 0; k < width; ++k) {
        total[k] += x[k];
        highest[k] = highest[k] > x[k] ? highest[k] : x[k];
      }
  }

  PoolKind kind_;
  int64_t stride_;  // of pixels
  int64_t batch_ = 0, pixels_ = 0, channels_ = 0;
};

class PoolChannelsKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    channels_ = inputs[0].back();
    pixels_ = element_count(output) / output.back();
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(pixels_, std::max<int64_t>(1, 16'384 / channels_), [&](int64_t begin, int64_t end) {
      for (int64_t pixel = begin; pixel < end; ++pixel) pool_pixel(inputs[0] + pixel * channels_, output + 2 * pixel);
    });
  }

 private:
  void pool_pixel(const float* x, float* out) const {
    f32x4 sums{}, most = splat(-std::numeric_limits<float>::infinity());
    int64_t c = 0;
    for (; c + 4 <= channels_; c += 4) {
      sums += load(x + c);
      most = max(most, load(x + c));
    }
    float total = sum(sums), highest = largest(most);
    for (; c < channels_; ++c) {
      total += x[c];
      highest = std::max(highest, x[c]);
    }
    out[0] = total / static_cast<float>(channels_);
    out[1] = highest;
  }

  int64_t channels_ = 0, pixels_ = 0;
};

// Windows that lie side by side.
class AdaptiveMaxPoolKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = in_[3], height = in_[1] / out_[1], width = in_[2] / out_[2];
    pool.parallel_for(out_[0] * out_[1] * out_[2], 1, [&](int64_t begin, int64_t end) {
      for (int64_t cell = begin; cell < end; ++cell) {
        const int64_t row = cell / out_[2] * height, column = cell % out_[2] * width;  // rows count through images
        const float* first = inputs[0] + (row * in_[2] + column) * channels;
        map4(first, output + cell * channels, 0, channels, [&](f32x4 most, int64_t c) {
          for (int64_t y = 0; y < height; ++y)
            for (int64_t x = 0; x < width; ++x) most = max(most, load(first + (y * in_[2] + x) * channels + c));
          return most;
        });
      }
    });
  }

 private:
  Shape in_, out_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MaxPool& op, const Strides& strides) {
  return std::make_unique<WindowPoolKernel<MaxPool>>(op, strides);
}
std::unique_ptr<Kernel> make_kernel(const AvgPool& op, const Strides& strides) {
  return std::make_unique<WindowPoolKernel<AvgPool>>(op, strides);
}
std::unique_ptr<Kernel> make_kernel(const AdaptiveAvgPool&) { return std::make_unique<AdaptiveAvgPoolKernel>(); }
std::unique_ptr<Kernel> make_kernel(const AdaptiveMaxPool&) { return std::make_unique<AdaptiveMaxPoolKernel>(); }
std::unique_ptr<Kernel> make_kernel(const PoolChannels&) { return std::make_unique<PoolChannelsKernel>(); }
std::unique_ptr<Kernel> make_kernel(const GlobalPool& op, const Strides& strides) {
  return std::make_unique<GlobalPoolKernel>(op.kind, strides.inputs[0]);
}

}  // namespace wimm
