// Concatenation, slices, upsampling, space to depth, patches, padding, flattening.
#include <algorithm>
#include <cstring>

#include "kernels/kernel.h"

namespace wimm {
namespace {

void copy(const float* from, int64_t count, float* to) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// Pixels, tokens or rows: all that stands before the last dimension.
int64_t rows_of(const Shape& shape) { return element_count(shape) / shape.back(); }

class ChannelCopyKernel final : public Kernel {
 public:
  ChannelCopyKernel(std::vector<ChannelCopy> copies, Strides strides)
      : copies_(std::move(copies)), strides_(std::move(strides)) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    rows_ = rows_of(output);
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(rows_, 256, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (const auto& [input, from, size, to] : copies_)
          copy(inputs[input] + row * strides_.inputs[input] + from, size, output + row * strides_.output + to);
    });
  }

 private:
  std::vector<ChannelCopy> copies_;
  Strides strides_;
  int64_t rows_ = 0;
};

class UpsampleKernel final : public Kernel {
 public:
  explicit UpsampleKernel(int64_t factor) : factor_(factor) {}
  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    in_ = inputs[0];
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t width = in_[2], channels = in_[3], row_floats = width * factor_ * channels;
    pool.parallel_for(in_[0] * in_[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* line = inputs[0] + row * width * channels;
        float* out = output + row * factor_ * row_floats;
        for (int64_t x = 0; x < width * factor_; ++x) copy(line + x / factor_ * channels, channels, out + x * channels);
        for (int64_t y = 1; y < factor_; ++y) copy(out, row_floats, out + y * row_floats);
      }
    });
  }

 private:
  int64_t factor_;
  Shape in_;
};

class SpaceToDepthKernel final : public Kernel {
 public:
  explicit SpaceToDepthKernel(const SpaceToDepth& op) : factor_(op.factor), columns_first_(op.columns_first) {}
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t line = in_[2] * in_[3], pixel = in_[3], square = factor_ * pixel;
    pool.parallel_for(out_[0] * out_[1], 4, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* lines = inputs[0] + row * factor_ * line;
        float* out = output + row * out_[2] * out_[3];
        for (int64_t x = 0; x < out_[2]; ++x, lines += square)
          if (columns_first_)
            for (int64_t i = 0; i < factor_ * factor_; ++i, out += pixel)
              copy(lines + i % factor_ * line + i / factor_ * pixel, pixel, out);
          else
            for (int64_t y = 0; y < factor_; ++y, out += square) copy(lines + y * line, square, out);
      }
    });
  }

 private:
  int64_t factor_;
  bool columns_first_;
  Shape in_, out_;
};

// Copies between an image and its patches, a pixel at a time.
class PatchesKernel final : public Kernel {
 public:
  PatchesKernel(Size2d patch, bool back) : patch_(patch), back_(back) {}
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    image_ = back_ ? output : inputs[0];
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t height = image_[1], width = image_[2], channels = image_[3], area = patch_[0] * patch_[1],
                  columns = width / patch_[1], patches = height * width / area;
    pool.parallel_for(image_[0] * height, 4, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t x = 0; x < width; ++x) {
          const int64_t n = row / height, y = row % height;
          const int64_t place = y % patch_[0] * patch_[1] + x % patch_[1],
                        patch = y / patch_[0] * columns + x / patch_[1];
          const int64_t pixel = (row * width + x) * channels, token = ((n * area + place) * patches + patch) * channels;
          copy(inputs[0] + (back_ ? token : pixel), channels, output + (back_ ? pixel : token));
        }
    });
  }

 private:
  Size2d patch_;
  bool back_;
  Shape image_;
};

// Whether an image becomes its windows, or they become it again.
class WindowsKernel final : public Kernel {
 public:
  WindowsKernel(Size2d size, bool back) : size_(size), back_(back) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    image_ = back_ ? output : inputs[0];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t height = size_[0], width = size_[1];
    const int64_t down = image_[1] / height, across = image_[2] / width, floats = width * image_[3];
    pool.parallel_for(image_[0] * down * across * height, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {  // a row of a window
        const int64_t window = i / height, row = window / across * height + i % height;
        const int64_t in_windows = i * floats, in_image = (row * across + window % across) * floats;
        copy(inputs[0] + (back_ ? in_windows : in_image), floats, output + (back_ ? in_image : in_windows));
      }
    });
  }

 private:
  Size2d size_;
  bool back_;
  Shape image_;
};

class PadKernel final : public Kernel {
 public:
  explicit PadKernel(const Pad& op) : op_(op) {}
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    in_ = inputs[0];
    out_ = output;
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(out_[0] * out_[1], 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) row(inputs[0], i / out_[1], i % out_[1], output + i * out_[2] * out_[3]);
    });
  }

 private:
  void row(const float* x, int64_t image, int64_t y, float* out) const {
    const bool reflect = op_.mode == Pad::Mode::reflect;
    const int64_t channels = in_[3], source = from(y - op_.padding.top, in_[1], reflect);
    if (source < 0) {
      std::fill_n(out, out_[2] * channels, 0.0f);
      return;
    }
    const float* line = x + (image * in_[1] + source) * in_[2] * channels;
    for (int64_t column = 0; column < out_[2]; ++column, out += channels) {
      const int64_t at = from(column - op_.padding.left, in_[2], reflect);
      if (at < 0)
        std::fill_n(out, channels, 0.0f);
      else
        copy(line + at * channels, channels, out);
    }
  }

  // The position in the input that padded position `i` shows, or -1 for zeros.
  static int64_t from(int64_t i, int64_t size, bool reflect) {
    if (i >= 0 && i < size) return i;
    if (!reflect) return -1;
    return i < 0 ? -i : 2 * (size - 1) - i;
  }

  Pad op_;
  Shape in_, out_;
};

class CutKernel final : public Kernel {
 public:
  explicit CutKernel(const Patches& op) : op_(op) {}
  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    in_ = inputs[0];
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t height = op_.size[0], width = op_.size[1];
    const int64_t across = in_[2] / width, floats = width * in_[3];  // of a patch's row
    pool.parallel_for(in_[0] * in_[1], 4, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t i = 0; i < across; ++i)
          std::copy_n(inputs[0] + (row * across + i) * floats, floats,
                      output + ((row / height * across + i) * height + row % height) * floats);
    });
  }

 private:
  Patches op_;
  Shape in_;
};

class FlattenKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    in_ = inputs[0];
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool&) override {
    const int64_t pixels = in_[1] * in_[2], channels = in_[3];
    for (int64_t n = 0; n < in_[0]; ++n)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t p = 0; p < pixels; ++p)
          output[(n * channels + c) * pixels + p] = inputs[0][(n * pixels + p) * channels + c];
  }

 private:
  Shape in_;
};

// ECA's convolution along channels: few values, so plain loops.
class ChannelConvKernel final : public Kernel {
 public:
  ChannelConvKernel(const ChannelConv& op, ParameterReader& reader) : weight_(reader.read(op.weight)) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    channels_ = output.back();
    rows_ = rows_of(output);
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool&) override {
    const int64_t kernel = static_cast<int64_t>(weight_.size()), before = (kernel - 1) / 2;
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t c = 0; c < channels_; ++c) {
        float sum = 0;
        for (int64_t k = std::max<int64_t>(0, before - c); k < std::min(kernel, channels_ + before - c); ++k)
          sum += weight_[k] * inputs[0][row * channels_ + c + k - before];
        output[row * channels_ + c] = sum;
      }
  }
  size_t weight_bytes() const override { return weight_.size() * sizeof(float); }

 private:
  std::vector<float> weight_;
  int64_t channels_ = 0, rows_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_channel_copies(std::vector<ChannelCopy> copies, const Strides& strides) {
  return std::make_unique<ChannelCopyKernel>(std::move(copies), strides);
}
std::unique_ptr<Kernel> make_kernel(const Upsample& op) { return std::make_unique<UpsampleKernel>(op.factor); }
std::unique_ptr<Kernel> make_kernel(const SpaceToDepth& op) { return std::make_unique<SpaceToDepthKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const ToPatches& op) { return std::make_unique<PatchesKernel>(op.patch, false); }
std::unique_ptr<Kernel> make_kernel(const FromPatches& op) { return std::make_unique<PatchesKernel>(op.patch, true); }
std::unique_ptr<Kernel> make_kernel(const ToWindows& op) { return std::make_unique<WindowsKernel>(op.size, false); }
std::unique_ptr<Kernel> make_kernel(const FromWindows& op) { return std::make_unique<WindowsKernel>(op.size, true); }
std::unique_ptr<Kernel> make_kernel(const Pad& op) { return std::make_unique<PadKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const Crop&) { return std::make_unique<PadKernel>(Pad{}); }
std::unique_ptr<Kernel> make_kernel(const Patches& op) { return std::make_unique<CutKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const Flatten&) { return std::make_unique<FlattenKernel>(); }
std::unique_ptr<Kernel> make_kernel(const ChannelConv& op, ParameterReader& reader) {
  return std::make_unique<ChannelConvKernel>(op, reader);
}

}  // namespace wimm
