// Linear layers along tokens.
#include <algorithm>

#include "kernels/activations.h"
#include "kernels/attention_tiles.h"
#include "kernels/kernel.h"

namespace wimm {
namespace {

constexpr int64_t strip = 2 * tile_columns;  // channels of a task

// Each task packs some channels of all tokens of an image, and multiplies the weights with them.
class MixTokensKernel final : public Kernel {
 public:
  MixTokensKernel(const MixTokens& op, ParameterReader& reader)
      : op_(op), weight_(reader.read(op.weight)), bias_(reader.read(op.bias)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    images_ = inputs[0][0];
    channels_ = inputs[0][2];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t strips = round_up(channels_, strip) / strip;
    with_activation(op_.activation, [&](auto activation) {
      pool.parallel_for(images_ * strips, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> packed(static_cast<size_t>(op_.tokens * strip));
        for (int64_t i = begin; i < end; ++i) {
          const int64_t image = i / strips, first = i % strips * strip;
          const float* x = inputs[0] + image * op_.tokens * channels_ + first;
          for (int64_t token = 0; token < op_.tokens; ++token)
            std::copy_n(x + token * channels_, strip, &packed[token * strip]);
          mix(packed.data(), output + image * op_.out_tokens * channels_ + first, channels_ - first, activation);
        }
      });
    });
  }

  size_t weight_bytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }

 private:
  template <class Function>
  void mix(const float* packed, float* y, int64_t width, Function activation) const {
    width = std::min(width, strip);
    for (int64_t out = 0; out < op_.out_tokens; out += tile_rows) {
      const float* rows[tile_rows];
      float tile[tile_rows * strip];
      for (int64_t r = 0; r < tile_rows; ++r) rows[r] = &weight_[std::min(out + r, op_.out_tokens - 1) * op_.tokens];
      multiply_rows(rows, op_.tokens, packed, strip, tile);
      for (int64_t r = 0; r < std::min(tile_rows, op_.out_tokens - out); ++r) {
        const float bias = bias_[out + r];
        const float* from = tile + r * strip;
        float* to = y + (out + r) * channels_;
        if (width == strip)
          for (int64_t c = 0; c < strip; c += 4) store(to + c, activation(load(from + c) + bias));
        else
          map4(from, to, 0, width, [&](f32x4 v, int64_t) { return activation(v + bias); });
      }
    }
  }

  MixTokens op_;
  std::vector<float> weight_, bias_;
  int64_t images_ = 0, channels_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const MixTokens& op, ParameterReader& reader) {
  return std::make_unique<MixTokensKernel>(op, reader);
}

}  // namespace wimm
