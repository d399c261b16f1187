// Attention gated between what tokens have in common and where they are.
#include <algorithm>
#include <cmath>

#include "kernels/attention_tiles.h"
#include "kernels/kernel.h"

namespace wimm {
namespace {

// The softmax over a grid of a · dx + b · dy + c · (dx² + dy²) is one over its columns times one over its rows.
struct Places {
  double gate;
  std::vector<float> by_column, by_row;  // [side, side], of keys for each query
};

std::vector<float> softmax_of_offsets(int64_t side, double linear, double square) {
  std::vector<float> table;
  std::vector<double> row(static_cast<size_t>(side));
  for (int64_t query = 0; query < side; ++query) {
    for (int64_t key = 0; key < side; ++key) {
      const auto offset = static_cast<double>(key - query);
      row[key] = linear * offset + square * offset * offset;
    }
    const double peak = *std::ranges::max_element(row);
    double sum = 0;
    for (double& value : row) sum += value = std::exp(value - peak);
    for (const double value : row) table.push_back(static_cast<float>(value / sum));
  }
  return table;
}

// Each task takes four queries of one head; keys and values were packed per image and head, padded to whole tiles.
class GatedAttentionKernel final : public Kernel {
 public:
  GatedAttentionKernel(const GatedAttention& op, ParameterReader& reader) : op_(op) {
    const std::vector<float> weight = reader.read(op.weight), gate = reader.read(op.gate);
    for (int64_t head = 0; head < op.heads; ++head) {
      const float* w = &weight[3 * head];
      places_.push_back({1 / (1 + std::exp(-double{gate[head]})), softmax_of_offsets(op.side, w[0], w[2]),
                         softmax_of_offsets(op.side, w[1], w[2])});
    }
  }

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    tokens_ = output[1];
    channels_ = output[2];
    depth_ = channels_ / op_.heads;
    key_columns_ = round_up(tokens_, tile_columns);
    value_columns_ = round_up(depth_, tile_columns);
    packed_floats_ = depth_ * key_columns_ + tokens_ * value_columns_;
    return static_cast<size_t>(images_ * op_.heads * packed_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* packed = reinterpret_cast<float*>(workspace);
    pool.parallel_for(images_ * op_.heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack(inputs[0], inputs[1], i / op_.heads, i % op_.heads, packed + i * packed_floats_);
    });
    const int64_t tiles = round_up(tokens_, tile_rows) / tile_rows;
    pool.parallel_for(images_ * op_.heads * tiles, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(tile_rows * (key_columns_ + value_columns_)));
      for (int64_t i = begin; i < end; ++i)
        attend(inputs[0], packed + i / tiles * packed_floats_, i / tiles / op_.heads, i / tiles % op_.heads,
               i % tiles * tile_rows, scratch.data(), output);
    });
  }

  size_t weight_bytes() const override {
    return static_cast<size_t>(2 * op_.heads * op_.side * op_.side) * sizeof(float);
  }

 private:
  // Keys transposed to [depth, keys], then values [keys, depth].
  void pack(const float* qk, const float* v, int64_t image, int64_t head, float* packed) const {
    std::fill_n(packed, packed_floats_, 0.0f);
    float* values = packed + depth_ * key_columns_;
    for (int64_t k = 0; k < tokens_; ++k) {
      const int64_t token = image * tokens_ + k;
      const float* key = qk + token * 2 * channels_ + channels_ + head * depth_;
      for (int64_t d = 0; d < depth_; ++d) packed[d * key_columns_ + k] = key[d];
      std::copy_n(v + token * channels_ + head * depth_, depth_, values + k * value_columns_);
    }
  }

  void attend(const float* qk, const float* kv, int64_t image, int64_t head, int64_t first, float* scratch,
              float* output) const {
    float *scores = scratch, *mixed = scratch + tile_rows * key_columns_;
    const float *queries[tile_rows], *rows[tile_rows];
    for (int64_t r = 0; r < tile_rows; ++r) {
      const int64_t query = std::min(first + r, tokens_ - 1);  // a last tile may compute a query again
      queries[r] = qk + (image * tokens_ + query) * 2 * channels_ + head * depth_;
      rows[r] = scores + r * key_columns_;
    }
    multiply_rows(queries, depth_, kv, key_columns_, scores);
    for (int64_t r = 0; r < tile_rows; ++r)
      gate(scores + r * key_columns_, places_[head], std::min(first + r, tokens_ - 1));
    multiply_rows(rows, tokens_, kv + depth_ * key_columns_, value_columns_, mixed);
    for (int64_t r = 0; r < std::min(tile_rows, tokens_ - first); ++r)
      std::copy_n(mixed + r * value_columns_, depth_,
                  output + (image * tokens_ + first + r) * channels_ + head * depth_);
  }

  void gate(float* scores, const Places& places, int64_t query) const {
    const int64_t side = op_.side;
    const float* by_column = &places.by_column[query % side * side];
    const float* by_row = &places.by_row[query / side * side];
    const auto factor = static_cast<float>(
        (1 - places.gate) / padded_exponentials(scores, tokens_, key_columns_, static_cast<float>(op_.scale)));
    for (int64_t y = 0; y < side; ++y, scores += side) {
      const float row = static_cast<float>(places.gate) * by_row[y];
      for (int64_t x = 0; x < side; ++x) scores[x] = scores[x] * factor + row * by_column[x];
    }
  }

  GatedAttention op_;
  std::vector<Places> places_;  // of each head
  int64_t images_ = 0, tokens_ = 0, channels_ = 0, depth_ = 0;
  int64_t key_columns_ = 0, value_columns_ = 0, packed_floats_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const GatedAttention& op, ParameterReader& reader) {
  return std::make_unique<GatedAttentionKernel>(op, reader);
}

}  // namespace wimm
