// Attention that is not of tokens by heads alone: talking heads, between channels, and outlook attention.
#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/attention_tiles.h"
#include "kernels/kernel.h"
#include "kernels/relative_bias.h"

namespace wimm {
namespace {

// Each task takes four queries of all heads; keys and values were packed per image and head, padded to whole tiles.
class TalkingHeadsKernel final : public Kernel {
 public:
  TalkingHeadsKernel(const TalkingHeads& op, ParameterReader& reader)
      : op_(op),
        heads_(op.heads),
        scale_(static_cast<float>(op.scale)),
        before_{reader.read(op.before_weight), reader.read(op.before_bias)},
        after_{reader.read(op.after_weight), reader.read(op.after_bias)} {
    if (op.bias) bias_.emplace(*op.bias, heads_, reader);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    channels_ = output.back();
    tokens_ = element_count(output) / images_ / channels_;
    for (size_t i = 0; i < 3; ++i) rows_[i] = inputs[i].back();
    depth_ = op_.q.depth;
    value_depth_ = op_.v.depth;
    key_columns_ = round_up(tokens_, tile_columns);
    value_columns_ = round_up(value_depth_, tile_columns);
    packed_floats_ = depth_ * key_columns_ + tokens_ * value_columns_;
    return static_cast<size_t>(images_ * heads_ * packed_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    auto* packed = reinterpret_cast<float*>(workspace);
    pool.parallel_for(images_ * heads_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack(inputs[1], inputs[2], i / heads_, i % heads_, packed + i * packed_floats_);
    });
    const int64_t tiles = round_up(tokens_, tile_rows) / tile_rows;
    pool.parallel_for(images_ * tiles, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> scores(static_cast<size_t>(heads_ * tile())), mixed(scores.size());
      std::vector<float> result(static_cast<size_t>(tile_rows * value_columns_));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / tiles, first = i % tiles * tile_rows;
        const float* kv = packed + image * heads_ * packed_floats_;
        score(inputs[0], kv, image, first, scores.data());
        mix(before_, scores, mixed);
        normalize(mixed);
        mix(after_, mixed, scores);
        for (int64_t head = 0; head < heads_; ++head) {
          const float* rows[tile_rows];
          for (int64_t r = 0; r < tile_rows; ++r) rows[r] = &scores[head * tile() + r * key_columns_];
          const float* values = kv + head * packed_floats_ + depth_ * key_columns_;
          multiply_rows(rows, tokens_, values, value_columns_, result.data());
          for (int64_t r = 0; r < std::min(tile_rows, tokens_ - first); ++r)
            std::copy_n(&result[r * value_columns_], value_depth_,
                        output + (image * tokens_ + first + r) * channels_ + head * value_depth_);
        }
      }
    });
  }

  size_t weight_bytes() const override {
    return (before_.weight.size() + after_.weight.size() + 2 * before_.bias.size()) * sizeof(float);
  }

 private:
  struct Mix {
    std::vector<float> weight, bias;
  };
  int64_t tile() const { return tile_rows * key_columns_; }

  void pack(const float* keys, const float* values, int64_t image, int64_t head, float* packed) const {
    std::fill_n(packed, packed_floats_, 0.0f);
    float* packed_values = packed + depth_ * key_columns_;
    for (int64_t k = 0; k < tokens_; ++k) {
      const int64_t at = image * tokens_ + k;
      const float* key = keys + at * rows_[1] + op_.k.begin + head * op_.k.stride;
      for (int64_t d = 0; d < depth_; ++d) packed[d * key_columns_ + k] = key[d];
      std::copy_n(values + at * rows_[2] + op_.v.begin + head * op_.v.stride, value_depth_,
                  packed_values + k * value_columns_);
    }
  }

  // Scaled, with the bias.
  void score(const float* queries, const float* kv, int64_t image, int64_t first, float* scores) const {
    for (int64_t head = 0; head < heads_; ++head, scores += tile()) {
      const float* rows[tile_rows];
      for (int64_t r = 0; r < tile_rows; ++r)
        rows[r] = queries + (image * tokens_ + std::min(first + r, tokens_ - 1)) * rows_[0] + op_.q.begin +
                  head * op_.q.stride;
      multiply_rows(rows, depth_, kv + head * packed_floats_, key_columns_, scores);
      for (int64_t i = 0; i < tile() && !bias_; i += 4) store(scores + i, load(scores + i) * scale_);
      for (int64_t r = 0; r < tile_rows && bias_; ++r)
        bias_->apply(scores + r * key_columns_, scale_, head, std::min(first + r, tokens_ - 1));
    }
  }

  void mix(const Mix& mix, const std::vector<float>& x, std::vector<float>& y) const {
    for (int64_t to = 0; to < heads_; ++to) {
      float* out = &y[to * tile()];
      std::fill_n(out, tile(), mix.bias[to]);
      for (int64_t from = 0; from < heads_; ++from) {
        const float *in = &x[from * tile()], weight = mix.weight[to * heads_ + from];
        for (int64_t i = 0; i < tile(); i += 4) store(out + i, load(out + i) + load(in + i) * weight);
      }
    }
  }

  void normalize(std::vector<float>& scores) const {
    for (int64_t row = 0; row < heads_ * tile_rows; ++row) {
      float* x = &scores[row * key_columns_];
      const float inverse = 1 / padded_exponentials(x, tokens_, key_columns_, 1);
      for (int64_t i = 0; i < key_columns_; i += 4) store(x + i, load(x + i) * inverse);
    }
  }

  TalkingHeads op_;
  int64_t heads_;
  float scale_;
  Mix before_, after_;
  std::optional<RelativeBiasTable> bias_;
  int64_t images_ = 0, tokens_ = 0, channels_ = 0, depth_ = 0, value_depth_ = 0;
  int64_t rows_[3] = {};  // floats a token, of each input
  int64_t key_columns_ = 0, value_columns_ = 0, packed_floats_ = 0;
};

class ChannelAttentionKernel final : public Kernel {
 public:
  explicit ChannelAttentionKernel(const ChannelAttention& op) : op_(op) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool&) override {
    images_ = output[0];
    channels_ = output.back();
    tokens_ = element_count(output) / images_ / channels_;
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    const int64_t depth = channels_ / op_.heads, columns = round_up(depth, tile_columns);
    const auto scale = static_cast<float>(op_.scale.value_or(1 / std::sqrt(static_cast<double>(tokens_))));
    pool.parallel_for(images_ * op_.heads, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> scores(static_cast<size_t>(depth * columns)), transposed(scores.size());
      std::vector<float> result(static_cast<size_t>(tile_rows * columns));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i / op_.heads * tokens_, head = i % op_.heads * depth;
        const auto part = [&](int k, int64_t token) {
          return inputs[0] + (first + std::min(token, tokens_ - 1)) * 3 * channels_ + op_.order[k] * channels_ + head;
        };
        std::ranges::fill(scores, 0.0f);
        for (int64_t t = 0; t < tokens_; ++t) accumulate(part(0, t), part(1, t), depth, columns, scores.data());
        for (int64_t a = 0; a < depth; ++a) {
          float* row = &scores[a * columns];
          const float inverse = 1 / padded_exponentials(row, depth, columns, scale);
          for (int64_t b = 0; b < depth; ++b) transposed[b * columns + a] = row[b] * inverse;
        }
        for (int64_t t = 0; t < tokens_; t += tile_rows) {
          const float* rows[] = {part(2, t), part(2, t + 1), part(2, t + 2), part(2, t + 3)};
          multiply_rows(rows, depth, transposed.data(), columns, result.data());
          for (int64_t r = 0; r < std::min(tile_rows, tokens_ - t); ++r)
            std::copy_n(&result[r * columns], depth, output + (first + t + r) * channels_ + head);
        }
      }
    });
  }

 private:
  // scores += aᵀ · b of one token.
  static void accumulate(const float* a, const float* b, int64_t depth, int64_t columns, float* scores) {
    for (int64_t i = 0; i < depth; ++i) {
      float* row = scores + i * columns;
      for (int64_t j = 0; j + 4 <= depth; j += 4) store(row + j, load(row + j) + a[i] * load(b + j));
      for (int64_t j = depth / 4 * 4; j < depth; ++j) row[j] += a[i] * b[j];
    }
  }

  ChannelAttention op_;
  int64_t images_ = 0, tokens_ = 0, channels_ = 0;
};

// A task takes a head of an image: its windows overlap.
class OutlookAttentionKernel final : public Kernel {
 public:
  explicit OutlookAttentionKernel(const OutlookAttention& op) : op_(op) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool&) override {
    size_ = output;
    windows_ = inputs[1];
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    std::fill_n(output, element_count(size_), 0.0f);
    pool.parallel_for(size_[0] * op_.heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t y = 0; y < windows_[1]; ++y)
          for (int64_t x = 0; x < windows_[2]; ++x)
            window(inputs[0], inputs[1], i / op_.heads, i % op_.heads, y, x, output);
    });
  }

 private:
  static constexpr int64_t area = 9, row_floats = 12;

  void window(const float* values, const float* logits, int64_t image, int64_t head, int64_t y, int64_t x,
              float* output) const {
    const int64_t channels = size_[3], depth = channels / op_.heads;
    logits += ((image * windows_[1] + y) * windows_[2] + x) * windows_[3] + head * area * area;
    int64_t places[area];  // of the pixels, -1 outside
    for (int64_t k = 0; k < area; ++k) {
      const int64_t row = 2 * y - 1 + k / 3, column = 2 * x - 1 + k % 3;
      const bool inside = row >= 0 && column >= 0 && row < size_[1] && column < size_[2];
      places[k] = inside ? ((image * size_[1] + row) * size_[2] + column) * channels + head * depth : -1;
    }
    for (int64_t i = 0; i < area; ++i) {
      if (places[i] < 0) continue;
      float weights[row_floats];
      std::copy_n(logits + i * area, area, weights);
      const float inverse = 1 / padded_exponentials(weights, area, row_floats, static_cast<float>(op_.scale));
      for (int64_t j = 0; j < area; ++j) {
        if (places[j] < 0) continue;
        const float *value = values + places[j], weight = weights[j] * inverse;
        float* out = output + places[i];
        for (int64_t c = 0; c < depth; ++c) out[c] += weight * value[c];
      }
    }
  }

  OutlookAttention op_;
  Shape size_, windows_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const TalkingHeads& op, ParameterReader& reader) {
  return std::make_unique<TalkingHeadsKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const ChannelAttention& op) { return std::make_unique<ChannelAttentionKernel>(op); }
std::unique_ptr<Kernel> make_kernel(const OutlookAttention& op) { return std::make_unique<OutlookAttentionKernel>(op); }

}  // namespace wimm
