// Attention between channels, by their cross-covariance over tokens.
#include <algorithm>
#include <cmath>

#include "kernels/attention_tiles.h"
#include "kernels/kernel.h"

namespace wimm {
namespace {

// Each task is a head of an image: the products of its queries' and keys' channels over all tokens, their softmax, and
// the values' channels mixed by it.
class CrossCovarianceKernel final : public Kernel {
 public:
  CrossCovarianceKernel(const CrossCovariance& op, ParameterReader& reader)
      : heads_(op.heads), temperature_(reader.read(op.temperature)) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    tokens_ = output[1];
    channels_ = output[2];
    row_ = inputs[0][2];
    depth_ = channels_ / heads_;
    columns_ = round_up(depth_, tile_columns);
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    pool.parallel_for(images_ * heads_, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> weights(static_cast<size_t>(columns_ * columns_)), scratch(weights.size());
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / heads_, head = i % heads_;
        const float* qkv = inputs[0] + image * tokens_ * row_ + head * depth_;
        mixing_weights(qkv, temperature_[head], weights.data(), scratch.data());
        mix(qkv + 2 * channels_, weights.data(), output + image * tokens_ * channels_ + head * depth_);
      }
    });
  }

  size_t weight_bytes() const override { return temperature_.size() * sizeof(float); }

 private:
  // products [depth, columns] = qᵀ · k
  void multiply(const float* q, const float* k, float* products) const {
    for (int64_t i = 0; i < depth_; i += tile_rows)
      for (int64_t j = 0; j < columns_; j += tile_columns) {
        f32x4 low[tile_rows] = {}, high[tile_rows] = {};
        add_transposed_product(q + i, row_, k + j, row_, tokens_, low, high);
        for (int64_t r = 0; r < tile_rows; ++r) {
          store(products + (i + r) * columns_ + j, low[r]);
          store(products + (i + r) * columns_ + j + 4, high[r]);
        }
      }
  }

  // 1 / |x| of each channel over the tokens, as PyTorch's normalize.
  std::vector<double> inverse_norms(const float* x) const {
    std::vector<double> sums(static_cast<size_t>(depth_));
    for (int64_t token = 0; token < tokens_; ++token)
      for (int64_t c = 0; c < depth_; ++c) sums[c] += double{x[token * row_ + c]} * x[token * row_ + c];
    for (double& sum : sums) sum = 1 / std::max(std::sqrt(sum), 1e-12);
    return sums;
  }

  // weights [depth (of values), columns (of results)]: transposed, as `mix` wants them.
  void mixing_weights(const float* qkv, float temperature, float* weights, float* products) const {
    const float* k = qkv + channels_;
    multiply(qkv, k, products);
    const std::vector<double> of_q = inverse_norms(qkv), of_k = inverse_norms(k);
    for (int64_t i = 0; i < depth_; ++i) {
      float* row = products + i * columns_;
      for (int64_t j = 0; j < depth_; ++j) row[j] = static_cast<float>(row[j] * of_q[i] * of_k[j] * temperature);
      const float peak = *std::max_element(row, row + depth_);
      double sum = 0;
      for (int64_t j = 0; j < depth_; ++j) sum += row[j] = std::exp(row[j] - peak);
      for (int64_t j = 0; j < depth_; ++j) weights[j * columns_ + i] = static_cast<float>(row[j] / sum);
    }
  }

  void mix(const float* values, const float* weights, float* output) const {
    std::vector<float> tile(static_cast<size_t>(tile_rows * columns_));
    for (int64_t first = 0; first < tokens_; first += tile_rows) {
      const float* rows[tile_rows];
      for (int64_t r = 0; r < tile_rows; ++r) rows[r] = values + std::min(first + r, tokens_ - 1) * row_;
      multiply_rows(rows, depth_, weights, columns_, tile.data());
      for (int64_t r = 0; r < std::min(tile_rows, tokens_ - first); ++r)
        std::copy_n(&tile[r * columns_], depth_, output + (first + r) * channels_);
    }
  }

  int64_t heads_;
  std::vector<float> temperature_;
  int64_t images_ = 0, tokens_ = 0, channels_ = 0, row_ = 0;  // floats a token
  int64_t depth_ = 0, columns_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const CrossCovariance& op, ParameterReader& reader) {
  return std::make_unique<CrossCovarianceKernel>(op, reader);
}

}  // namespace wimm
