// Learned tokens and positions; tokens joined and taken.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernel.h"
#include "kernels/resample.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// Each image's value in turn, of so many floats.
int64_t image_floats(const Shape& shape) { return element_count(shape) / shape[0]; }

// Adds the same floats to those of each image.
void add_to_images(const float* x, const std::vector<float>& added, int64_t images, int64_t floats, float* y,
                   ThreadPool& pool) {
  for (int64_t n = 0; n < images; ++n)
    pool.parallel_for(floats, 16'384, [&](int64_t begin, int64_t end) {
      map4(x + n * floats, y + n * floats, begin, end, [&](f32x4 v, int64_t i) { return v + load(&added[i]); });
    });
}

class LearnedTokensKernel final : public Kernel {
 public:
  LearnedTokensKernel(const LearnedTokens& op, ParameterReader& reader) : tokens_(reader.read(op.tokens)) {}
  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    return 0;
  }
  void run(std::span<const float* const>, float* output, std::byte*, ThreadPool&) override {
    for (int64_t n = 0; n < images_; ++n) output = std::ranges::copy(tokens_, output).out;
  }
  size_t weight_bytes() const override { return tokens_.size() * sizeof(float); }

 private:
  std::vector<float> tokens_;
  int64_t images_ = 0;
};

class ConcatTokensKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    floats_.clear();
    for (const Shape& shape : inputs) floats_.push_back(image_floats(shape));
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool&) override {
    for (int64_t n = 0; n < images_; ++n)
      for (size_t i = 0; i < inputs.size(); ++i) output = std::copy_n(inputs[i] + n * floats_[i], floats_[i], output);
  }

 private:
  int64_t images_ = 0;
  std::vector<int64_t> floats_;
};

// What DropTokens, SliceTokens and SelectToken share: a run of each image's tokens.
class TokensFromKernel final : public Kernel {
 public:
  explicit TokensFromKernel(int64_t first) : first_(first) {}
  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = inputs[0][0];
    in_ = image_floats(inputs[0]);
    out_ = image_floats(output);
    begin_ = first_ * inputs[0][2];
    return 0;
  }
  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool&) override {
    for (int64_t n = 0; n < images_; ++n) std::copy_n(inputs[0] + n * in_ + begin_, out_, output + n * out_);
  }

 private:
  int64_t first_, images_ = 0, in_ = 0, out_ = 0, begin_ = 0;
};

class AddPositionsKernel final : public Kernel {
 public:
  AddPositionsKernel(const AddPositions& op, ParameterReader& reader) : op_(op), learned_(reader.read(op.positions)) {
    if (op.planes) learned_ = transposed(learned_, op.grid[0] * op.grid[1]);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    floats_ = image_floats(output);
    const Size2d grid = inputs.size() > 1 ? Size2d{inputs[1][1], inputs[1][2]} : op_.grid;
    positions_ = grid == op_.grid
                     ? learned_
                     : resample_positions(learned_, op_.prefix, op_.grid, grid, output[2], Resampling::bicubic);
    positions_.resize(positions_.size() + overread_floats);
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    add_to_images(inputs[0], positions_, images_, floats_, output, pool);
  }

  size_t weight_bytes() const override { return (learned_.size() + positions_.size()) * sizeof(float); }

 private:
  // [C, pixels] → [pixels, C]
  static std::vector<float> transposed(const std::vector<float>& planes, int64_t pixels) {
    const auto channels = static_cast<int64_t>(planes.size()) / pixels;
    std::vector<float> result(planes.size());
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < pixels; ++p) result[p * channels + c] = planes[c * pixels + p];
    return result;
  }

  AddPositions op_;
  std::vector<float> learned_, positions_;  // as trained; of this grid
  int64_t images_ = 0, floats_ = 0;
};

class PoolTokensKernel final : public Kernel {
 public:
  explicit PoolTokensKernel(const PoolTokens& op) : count_(op.count) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    tokens_ = inputs[0][1];
    out_ = output;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t channels = out_[2];
    pool.parallel_for(out_[0] * out_[1], 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* x = inputs[0] + (i / out_[1] * tokens_ + i % out_[1] * count_) * channels;
        for (int64_t c = 0; c < channels; ++c) {
          float sum = 0;
          for (int64_t k = 0; k < count_; ++k) sum += x[k * channels + c];
          output[i * channels + c] = sum / static_cast<float>(count_);
        }
      }
    });
  }

 private:
  int64_t count_, tokens_ = 0;
  Shape out_;
};

class AddFourierPositionsKernel final : public Kernel {
 public:
  AddFourierPositionsKernel(const AddFourierPositions& op, ParameterReader& reader)
      : weight_(reader.read(op.weight)), bias_(reader.read(op.bias)) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    const int64_t height = output[1], width = output[2], channels = output[3];
    images_ = output[0];
    floats_ = image_floats(output);
    const std::vector<float> rows = along(height, channels, 0), columns = along(width, channels, 1);
    positions_.clear();
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        for (int64_t c = 0; c < channels; ++c)
          positions_.push_back(rows[y * channels + c] + columns[x * channels + c] + bias_[c]);
    positions_.resize(positions_.size() + overread_floats);
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    add_to_images(inputs[0], positions_, images_, floats_, output, pool);
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size() + positions_.size()) * sizeof(float); }

 private:
  static constexpr int64_t frequencies = 32;

  // What the places along an axis (0: rows) add to the channels: [size, channels].
  std::vector<float> along(int64_t size, int64_t channels, int64_t axis) const {
    std::vector<float> sums;
    for (int64_t i = 1; i <= size; ++i) {
      double waves[frequencies];
      for (int64_t f = 0; f < frequencies; ++f) {
        const double place = static_cast<double>(i) / (static_cast<double>(size) + 1e-6) * 2 * M_PI;
        const double angle = place / std::pow(10000.0, static_cast<double>(f / 2 * 2) / frequencies);
        waves[f] = f % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
      for (int64_t c = 0; c < channels; ++c)
        sums.push_back(static_cast<float>(
            std::inner_product(waves, waves + frequencies, &weight_[(2 * c + axis) * frequencies], 0.0)));
    }
    return sums;
  }

  std::vector<float> weight_, bias_, positions_;
  int64_t images_ = 0, floats_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const AddFourierPositions& op, ParameterReader& reader) {
  return std::make_unique<AddFourierPositionsKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const LearnedTokens& op, ParameterReader& reader) {
  return std::make_unique<LearnedTokensKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const ConcatTokens&) { return std::make_unique<ConcatTokensKernel>(); }
std::unique_ptr<Kernel> make_kernel(const PoolTokens& op) { return std::make_unique<PoolTokensKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const DropTokens& op) { return std::make_unique<TokensFromKernel>(op.count); }
std::unique_ptr<Kernel> make_kernel(const SliceTokens& op) { return std::make_unique<TokensFromKernel>(op.begin); }
std::unique_ptr<Kernel> make_kernel(const SelectToken& op) { return std::make_unique<TokensFromKernel>(op.index); }
std::unique_ptr<Kernel> make_kernel(const AddPositions& op, ParameterReader& reader) {
  return std::make_unique<AddPositionsKernel>(op, reader);
}

}  // namespace wimm
