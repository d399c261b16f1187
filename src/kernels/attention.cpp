// Softmax attention between tokens, and pooling by attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/attention_tiles.h"
#include "kernels/kernel.h"

namespace wimm {
namespace {

// Each task takes four queries of one head; keys and values were packed per image and key head, padded to whole tiles.
class AttentionKernel final : public Kernel {
 public:
  explicit AttentionKernel(const Attention& op) : op_(op) {}

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    images_ = inputs[0][0];
    queries_ = inputs[0][1];
    keys_ = inputs[1][1];
    depth_ = op_.q.depth;
    value_depth_ = op_.v.depth;
    query_row_ = inputs[0][2];
    key_row_ = inputs[1][2];
    value_row_ = inputs[2][2];
    key_columns_ = round_up(keys_, tile_columns);
    value_columns_ = round_up(value_depth_, tile_columns);
    packed_floats_ = depth_ * key_columns_ + keys_ * value_columns_;
    return static_cast<size_t>(images_ * op_.kv_heads * packed_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    float* packed = reinterpret_cast<float*>(workspace);
    pool.parallel_for(images_ * op_.kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack(inputs[1], inputs[2], i / op_.kv_heads, i % op_.kv_heads, packed + i * packed_floats_);
    });
    const int64_t tiles = round_up(queries_, tile_rows) / tile_rows, heads_a_kv_head = op_.heads / op_.kv_heads;
    pool.parallel_for(images_ * op_.heads * tiles, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(tile_rows * (key_columns_ + value_columns_)));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / tiles / op_.heads, head = i / tiles % op_.heads;
        const float* kv = packed + (image * op_.kv_heads + head / heads_a_kv_head) * packed_floats_;
        attend(inputs[0], kv, image, head, i % tiles * tile_rows, scratch.data(), output);
      }
    });
  }

 private:
  // Keys transposed to [depth, keys], then values [keys, depth].
  void pack(const float* keys, const float* values, int64_t image, int64_t head, float* packed) const {
    std::fill_n(packed, packed_floats_, 0.0f);
    float* packed_values = packed + depth_ * key_columns_;
    for (int64_t k = 0; k < keys_; ++k) {
      const int64_t token = image * keys_ + k;
      const float* key = keys + token * key_row_ + op_.k.begin + head * op_.k.stride;
      for (int64_t d = 0; d < depth_; ++d) packed[d * key_columns_ + k] = key[d];
      std::copy_n(values + token * value_row_ + op_.v.begin + head * op_.v.stride, value_depth_,
                  packed_values + k * value_columns_);
    }
  }

  void attend(const float* queries, const float* kv, int64_t image, int64_t head, int64_t first, float* scratch,
              float* output) const {
    float *scores = scratch, *mixed = scratch + tile_rows * key_columns_;
    const float *query_rows[tile_rows], *score_rows[tile_rows];
    float inverse_sums[tile_rows];
    for (int64_t r = 0; r < tile_rows; ++r) {
      const int64_t query = std::min(first + r, queries_ - 1);  // a last tile may compute a query again
      query_rows[r] = queries + (image * queries_ + query) * query_row_ + op_.q.begin + head * op_.q.stride;
      score_rows[r] = scores + r * key_columns_;
    }
    multiply_rows(query_rows, depth_, kv, key_columns_, scores);
    for (int64_t r = 0; r < tile_rows; ++r) {
      float* row = scores + r * key_columns_;
      std::fill(row + keys_, row + key_columns_, -std::numeric_limits<float>::infinity());
      inverse_sums[r] = 1 / exponentials(row, key_columns_, static_cast<float>(op_.scale));
    }
    multiply_rows(score_rows, keys_, kv + depth_ * key_columns_, value_columns_, mixed);
    for (int64_t r = 0; r < std::min(tile_rows, queries_ - first); ++r) {
      float* out = output + ((image * queries_ + first + r) * op_.heads + head) * value_depth_;
      for (int64_t d = 0; d < value_depth_; ++d) out[d] = mixed[r * value_columns_ + d] * inverse_sums[r];
    }
  }

  Attention op_;
  int64_t images_ = 0, queries_ = 0, keys_ = 0, depth_ = 0, value_depth_ = 0;
  int64_t query_row_ = 0, key_row_ = 0, value_row_ = 0;  // floats a token
  int64_t key_columns_ = 0, value_columns_ = 0, packed_floats_ = 0;
};

class DifferentialMixKernel final : public Kernel {
 public:
  DifferentialMixKernel(const DifferentialMix& op, ParameterReader& reader)
      : lambda_(static_cast<float>(exp_of_product(op.q1, op.k1, reader) - exp_of_product(op.q2, op.k2, reader) +
                                   op.lambda_init)) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    count_ = element_count(output);
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(count_, 16'384, [&](int64_t begin, int64_t end) {
      map4(inputs[0], output, begin, end, [&](f32x4 a, int64_t i) { return a - lambda_ * load(inputs[1] + i); });
    });
  }

 private:
  static double exp_of_product(ParameterId a, ParameterId b, ParameterReader& reader) {
    const std::vector<float> left = reader.read(a), right = reader.read(b);
    return std::exp(std::inner_product(left.begin(), left.end(), right.begin(), 0.0));
  }

  float lambda_;
  int64_t count_ = 0;
};

class AttentionPoolKernel final : public Kernel {
 public:
  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    images_ = inputs[0][0];
    pixels_ = inputs[0][1] * inputs[0][2];
    channels_ = inputs[0][3];
    weights_.assign(static_cast<size_t>(round_up(pixels_, 4)), -std::numeric_limits<float>::infinity());
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    for (int64_t n = 0; n < images_; ++n) {
      std::copy_n(inputs[1] + n * pixels_, pixels_, weights_.begin());
      std::fill(weights_.begin() + pixels_, weights_.end(), -std::numeric_limits<float>::infinity());
      const float inverse_sum = 1 / exponentials(weights_.data(), static_cast<int64_t>(weights_.size()), 1);
      const float* image = inputs[0] + n * pixels_ * channels_;
      pool.parallel_for(channels_, block, [&](int64_t begin, int64_t end) {
        map4(image, output + n * channels_, begin, end, [&](f32x4 total, int64_t c) {
          total *= weights_[0];
          for (int64_t p = 1; p < pixels_; ++p) total += load(image + p * channels_ + c) * weights_[p];
          return total * inverse_sum;
        });
      });
    }
  }

 private:
  static constexpr int64_t block = 64;

  int64_t images_ = 0, pixels_ = 0, channels_ = 0;
  std::vector<float> weights_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Attention& op) { return std::make_unique<AttentionKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const DifferentialMix& op, ParameterReader& reader) {
  return std::make_unique<DifferentialMixKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const AttentionPool&) { return std::make_unique<AttentionPoolKernel>(); }

}  // namespace wimm
