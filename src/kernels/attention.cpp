// Softmax attention between tokens, and pooling by attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/attention_tiles.h"
#include "kernels/gemm_tile.h"
#include "kernels/kernel.h"
#include "kernels/relative_bias.h"
#include "kernels/windows.h"

namespace wimm {
namespace {

float squared_length(const float* x, int64_t count) {
  float total = 0;
  for (int64_t i = 0; i < count; ++i) total += x[i] * x[i];
  return total;
}

// PyTorch's normalize.
float inverse_length(const float* x, int64_t count) {
  return 1 / std::max(std::sqrt(squared_length(x, count)), 1e-12f);
}

// Turns the channels x [depth] by sines and, behind them, cosines.
void rotate(const float* x, const float* table, int64_t depth, bool halves, float* y) {
  const float *sines = table, *cosines = table + depth;
  if (halves) {
    const int64_t half = depth / 2;
    for (int64_t c = 0; c < half; ++c) y[c] = x[c] * cosines[c] - x[c + half] * sines[c];
    for (int64_t c = half; c < depth; ++c) y[c] = x[c] * cosines[c] + x[c - half] * sines[c];
  } else {
    for (int64_t c = 0; c < depth; c += 2) {
      const float a = x[c], b = x[c + 1];
      y[c] = a * cosines[c] - b * sines[c];
      y[c + 1] = b * cosines[c + 1] + a * sines[c + 1];
    }
  }
}

// Groups of tokens attend among themselves: those of an image, or of a window of one. Each task takes some queries of
// one head; keys and values were packed per group and key head, padded to whole tiles. Of windows, which are many, a
// task takes all of a head.
class AttentionKernel final : public Kernel {
 public:
  AttentionKernel(const Attention& op, ParameterReader& reader)
      : op_(op), scales_(op.heads, static_cast<float>(op.scale)) {
    if (op.bias) bias_.emplace(*op.bias, op.heads, reader);
    if (op.products) products_.emplace(*op.products, op.q.depth, reader);
    if (op.logit_scale == no_id) return;
    scales_ = reader.read(op.logit_scale);
    for (float& scale : scales_) scale = std::min(std::exp(scale), 100.0f);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    const int64_t images = inputs[0][0];
    if (op_.windows) {
      const Size2d all{inputs[1][1], inputs[1][2]}, size = op_.windows->size == Size2d{} ? all : op_.windows->size;
      key_windows_.reshape(*op_.windows, size, inputs[1], op_.windows->halo);
      if (!shares_queries())
        query_windows_.reshape(*op_.windows, {size[0] * inputs[0][1] / all[0], size[1] * inputs[0][2] / all[1]},
                               inputs[0]);
    }
    groups_an_image_ = op_.windows ? key_windows_.count() : 1;
    groups_ = images * groups_an_image_;
    queries_ = op_.windows ? out_windows().area() : inputs[0][1];
    keys_ = op_.windows ? key_windows_.area() : inputs[1][1];
    if (products_) products_->reshape(out_windows().size(), key_windows_.size());
    depth_ = op_.q.depth;
    value_depth_ = op_.v.depth;
    query_row_ = inputs[0].back();
    key_row_ = inputs[1].back();
    value_row_ = inputs[2].back();
    key_columns_ = round_up(keys_, panel_columns);
    value_columns_ = round_up(value_depth_, panel_columns);
    packed_floats_ = depth_ * key_columns_ + keys_ * value_columns_;
    scratch_floats_ = most_tile_rows * (key_columns_ + value_columns_ + depth_);
    return packs_in_tasks() ? 0 : static_cast<size_t>(groups_ * op_.kv_heads * packed_floats_) * sizeof(float);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    const int64_t kv_heads = groups_ * op_.kv_heads, heads_a_kv_head = op_.heads / op_.kv_heads;
    const size_t scratch_floats = static_cast<size_t>(scratch_floats_);
    rotary_ = op_.rotary ? inputs[3] : nullptr;
    if (packs_in_tasks())
      return pool.parallel_for(kv_heads, std::max<int64_t>(1, kv_heads / 256), [&](int64_t begin, int64_t end) {
        std::vector<float> scratch(scratch_floats), packed(static_cast<size_t>(packed_floats_));
        for (int64_t i = begin; i < end; ++i) {
          const int64_t group = i / op_.kv_heads, kv_head = i % op_.kv_heads;
          pack(inputs[1], inputs[2], group, kv_head, packed.data());
          for (int64_t head = kv_head * heads_a_kv_head; head < (kv_head + 1) * heads_a_kv_head; ++head)
            for_each_part(queries_, most_tile_rows, [&](int64_t first, int64_t rows) {
              attend(inputs[0], packed.data(), group, head, first, rows, scratch.data(), output);
            });
        }
      });
    float* packed = reinterpret_cast<float*>(workspace);
    pool.parallel_for(kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack(inputs[1], inputs[2], i / op_.kv_heads, i % op_.kv_heads, packed + i * packed_floats_);
    });
    const int64_t tiles = round_up(queries_, most_tile_rows) / most_tile_rows;
    pool.parallel_for(groups_ * op_.heads * tiles, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(scratch_floats);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / tiles / op_.heads, head = i / tiles % op_.heads;
        const float* kv = packed + (group * op_.kv_heads + head / heads_a_kv_head) * packed_floats_;
        const int64_t first = queries_ * (i % tiles) / tiles, end = queries_ * (i % tiles + 1) / tiles;
        attend(inputs[0], kv, group, head, first, end - first, scratch.data(), output);
      }
    });
  }

  size_t weight_bytes() const override { return bias_ ? bias_->bytes() : 0; }

 private:
  bool packs_in_tasks() const { return groups_an_image_ > 1; }
  bool shares_queries() const { return op_.windows && op_.windows->shares_queries; }
  const WindowMap& out_windows() const { return shares_queries() ? key_windows_ : query_windows_; }

  // Where the i-th of a group's `count` tokens lies; -1: nowhere.
  int64_t token(int64_t group, int64_t count, const WindowMap& windows, int64_t i) const {
    if (!op_.windows) return group * count + i;
    const int64_t place = windows.token(group % groups_an_image_, i);
    return place < 0 ? place : group / groups_an_image_ * windows.pixels() + place;
  }

  int64_t query_token(int64_t group, int64_t i) const {
    return shares_queries() ? group / groups_an_image_ * queries_ + i : token(group, queries_, query_windows_, i);
  }

  // The channels of a head, of the token's own or turned into `memory`.
  const float* turn(const float* x, int64_t token, int64_t head, float* memory) const {
    if (!rotary_ || token < op_.rotary->prefix) return x;
    const int64_t set = op_.rotary->first + (op_.rotary->each_head ? head : 0);
    const int64_t row = set * (keys_ - op_.rotary->prefix) + token - op_.rotary->prefix;
    rotate(x, rotary_ + row * 2 * depth_, depth_, op_.rotary->halves, memory);
    return memory;
  }

  // Keys transposed to [depth, keys], then values [keys, depth], each in panels of eight columns.
  void pack(const float* keys, const float* values, int64_t group, int64_t head, float* packed) const {
    std::fill_n(packed, packed_floats_, 0.0f);
    float* packed_values = packed + depth_ * key_columns_;
    std::vector<float> turned(static_cast<size_t>(depth_));
    for (int64_t k = 0; k < keys_; ++k) {
      const int64_t at = token(group, keys_, key_windows_, k);
      if (at < 0) continue;
      const float* key = turn(keys + at * key_row_ + op_.k.begin + head * op_.k.stride, k, head, turned.data());
      const float scale = op_.logit_scale == no_id ? 1 : inverse_length(key, depth_);
      float* column = packed + k / panel_columns * panel_columns * depth_ + k % panel_columns;
      for (int64_t d = 0; d < depth_; ++d) column[d * panel_columns] = key[d] * scale;
      const float* value = values + at * value_row_ + op_.v.begin + head * op_.v.stride;
      for (int64_t d = 0; d < value_depth_; d += panel_columns)
        store_columns(packed_values + d * keys_ + k * panel_columns, load(value + d), load(value + d + 4),
                      std::min(panel_columns, value_depth_ - d));
    }
  }

  void attend(const float* queries, const float* kv, int64_t group, int64_t head, int64_t first, int64_t rows,
              float* scratch, float* output) const {
    float *scores = scratch, *mixed = scores + rows * key_columns_, *turned = mixed + rows * value_columns_;
    const float *query_rows[most_tile_rows] = {}, *score_rows[most_tile_rows] = {};
    float inverse_sums[most_tile_rows];
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t query = first + r;
      const float* row = queries + query_token(group, query) * query_row_ + op_.q.begin + head * op_.q.stride;
      query_rows[r] = turn(row, query, head, turned + r * depth_);
      score_rows[r] = scores + r * key_columns_;
    }
    multiply_panels(query_rows, rows, depth_, kv, key_columns_, scores);
    for (int64_t r = 0; r < rows; ++r) {
      float* row = scores + r * key_columns_;
      float scale = scales_[head];
      if (op_.logit_scale != no_id) scale *= inverse_length(query_rows[r], depth_);
      const int64_t query = first + r;
      if (bias_) bias_->apply(row, std::exchange(scale, 1), head, query);
      if (products_) products_->apply(row, std::exchange(scale, 1), query_rows[r], query);
      if (op_.windows) key_windows_.mask(row, group % groups_an_image_, query, 100 / scale);  // by 100, as Swin's
      inverse_sums[r] = 1 / padded_exponentials(row, keys_, key_columns_, scale);
    }
    multiply_panels(score_rows, rows, keys_, kv + depth_ * key_columns_, value_columns_, mixed);
    for (int64_t r = 0; r < rows; ++r) {
      float* out = output + token(group, queries_, out_windows(), first + r) * op_.heads * value_depth_ +
                   head * (op_.interleaved ? 1 : value_depth_);
      const int64_t step = op_.interleaved ? op_.heads : 1;
      for (int64_t d = 0; d < value_depth_; ++d) out[d * step] = mixed[r * value_columns_ + d] * inverse_sums[r];
    }
  }

  Attention op_;
  std::vector<float> scales_;  // of each head
  std::optional<RelativeBiasTable> bias_;
  std::optional<OffsetProductTable> products_;
  WindowMap query_windows_, key_windows_;
  int64_t groups_ = 0, groups_an_image_ = 1, queries_ = 0, keys_ = 0, depth_ = 0, value_depth_ = 0;
  int64_t query_row_ = 0, key_row_ = 0, value_row_ = 0;  // floats a token
  int64_t key_columns_ = 0, value_columns_ = 0, packed_floats_ = 0, scratch_floats_ = 0;
  const float* rotary_ = nullptr;
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

std::unique_ptr<Kernel> make_kernel(const Attention& op, ParameterReader& reader) {
  return std::make_unique<AttentionKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const DifferentialMix& op, ParameterReader& reader) {
  return std::make_unique<DifferentialMixKernel>(op, reader);
}
std::unique_ptr<Kernel> make_kernel(const AttentionPool&) { return std::make_unique<AttentionPoolKernel>(); }

}  // namespace wimm
