// Learned tokens and positions; tokens joined and taken.
#include <algorithm>

#include "kernels/kernel.h"
#include "kernels/resample.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// Each image's value in turn, of so many floats.
int64_t image_floats(const Shape& shape) { return element_count(shape) / shape[0]; }

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

// What DropTokens and SelectToken share: a run of each image's tokens.
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
  AddPositionsKernel(const AddPositions& op, ParameterReader& reader) : op_(op), learned_(reader.read(op.positions)) {}

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
    for (int64_t n = 0; n < images_; ++n)
      pool.parallel_for(floats_, 16'384, [&](int64_t begin, int64_t end) {
        map4(inputs[0] + n * floats_, output + n * floats_, begin, end,
             [&](f32x4 x, int64_t i) { return x + load(&positions_[i]); });
      });
  }

  size_t weight_bytes() const override { return (learned_.size() + positions_.size()) * sizeof(float); }

 private:
  AddPositions op_;
  std::vector<float> learned_, positions_;  // as trained; of this grid
  int64_t images_ = 0, floats_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const LearnedTokens& op, ParameterReader& reader) {
  return std::make_unique<LearnedTokensKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const ConcatTokens&) { return std::make_unique<ConcatTokensKernel>(); }
std::unique_ptr<Kernel> make_kernel(const DropTokens& op) { return std::make_unique<TokensFromKernel>(op.count); }
std::unique_ptr<Kernel> make_kernel(const SelectToken& op) { return std::make_unique<TokensFromKernel>(op.index); }
std::unique_ptr<Kernel> make_kernel(const AddPositions& op, ParameterReader& reader) {
  return std::make_unique<AddPositionsKernel>(op, reader);
}

}  // namespace wimm
