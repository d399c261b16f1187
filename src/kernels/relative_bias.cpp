// The table of biases, learned or computed, and its rows as keys pass by.
#include "kernels/relative_bias.h"

#include <algorithm>
#include <cmath>

#include "kernels/resample.h"
#include "kernels/simd.h"

namespace wimm {
namespace {

// What the MLP is given for an offset of d pixels.
double coordinate(int64_t d, int64_t unit) {
  const double far = std::abs(static_cast<double>(d));
  const double x = unit > 0 ? std::log2(8 * far / static_cast<double>(unit) + 1) / 3 : std::log1p(far);
  return d < 0 ? -x : x;
}

// [offsets, heads], as a learned table has it: of queries from keys, rows of offsets ascending.
std::vector<float> computed_table(const RelativeBias& op, int64_t heads, ParameterReader& reader) {
  const auto& [weight1, bias1, weight2, bias2, unit] = *op.mlp;
  const std::vector<float> w1 = reader.read(weight1), b1 = reader.read(bias1), w2 = reader.read(weight2);
  const std::vector<float> b2 = bias2 == no_id ? std::vector<float>(heads) : reader.read(bias2);
  const size_t hidden = b1.size();
  std::vector<float> table;
  std::vector<double> active(hidden);
  for (int64_t y = 1 - op.grid[0]; y < op.grid[0]; ++y)
    for (int64_t x = 1 - op.grid[1]; x < op.grid[1]; ++x) {
      const double at[] = {coordinate(y, unit[0]), coordinate(x, unit[1])};
      for (size_t i = 0; i < hidden; ++i) active[i] = std::max(0.0, w1[2 * i] * at[0] + w1[2 * i + 1] * at[1] + b1[i]);
      for (int64_t head = 0; head < heads; ++head) {
        double bias = b2[head];
        for (size_t i = 0; i < hidden; ++i) bias += w2[head * hidden + i] * active[i];
        table.push_back(static_cast<float>(unit[0] > 0 ? 16 / (1 + std::exp(-bias)) : bias));
      }
    }
  table.resize(table.size() + (op.prefix > 0 ? 3 * heads : 0));
  return table;
}

// The same of a table of distances [heads, height · width].
std::vector<float> mirrored_table(const RelativeBias& op, int64_t heads, ParameterReader& reader) {
  const std::vector<float> distances = reader.read(op.table);
  std::vector<float> table;
  for (int64_t y = 1 - op.grid[0]; y < op.grid[0]; ++y)
    for (int64_t x = 1 - op.grid[1]; x < op.grid[1]; ++x)
      for (int64_t head = 0; head < heads; ++head)
        table.push_back(distances[((op.first_head + head) * op.grid[0] + std::abs(y)) * op.grid[1] + std::abs(x)]);
  return table;
}

// The same of a table whose offsets are those of keys.
std::vector<float> reversed_table(const RelativeBias& op, int64_t heads, ParameterReader& reader) {
  const std::vector<float> by_head = reader.read(op.table);
  const auto offsets = static_cast<int64_t>(by_head.size()) / heads;
  std::vector<float> table;
  for (int64_t i = offsets - 1; i >= 0; --i)
    for (int64_t head = 0; head < heads; ++head) table.push_back(by_head[head * offsets + i]);
  return table;
}

std::vector<float> bias_table(const RelativeBias& op, int64_t heads, ParameterReader& reader) {
  if (op.mlp) return computed_table(op, heads, reader);
  if (op.head_first) return reversed_table(op, heads, reader);
  return op.symmetric ? mirrored_table(op, heads, reader) : reader.read(op.table);
}

}  // namespace

RelativeBiasTable::RelativeBiasTable(const RelativeBias& op, int64_t heads, ParameterReader& reader)
    : grid_(op.grid),
      stride_(op.stride),
      prefix_(op.prefix),
      offsets_((2 * op.grid[0] - 1) * (2 * op.grid[1] - 1)),
      row_(offsets_ + (op.prefix > 0 ? 3 : 0)) {
  const std::vector<float> table = bias_table(op, heads, reader);
  values_.resize(heads * row_ + overread_floats);
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < row_; ++i)
      values_[head * row_ + i] = table[(i < offsets_ ? offsets_ - 1 - i : i) * heads + head];
}

void RelativeBiasTable::apply(float* scores, float scale, int64_t head, int64_t query) const {
  const float *offsets = &values_[head * row_], *of_prefix = offsets + offsets_;
  const int64_t cells = grid_[0] * grid_[1];
  if (query < prefix_) {
    scores[0] = scores[0] * scale + of_prefix[2];
    for (int64_t k = 1; k <= cells; ++k) scores[k] = scores[k] * scale + of_prefix[0];
    return;
  }
  if (prefix_ > 0) scores[0] = scores[0] * scale + of_prefix[1];
  const int64_t columns = (grid_[1] + stride_ - 1) / stride_, width = 2 * grid_[1] - 1;
  const int64_t y = (query - prefix_) / columns * stride_, x = (query - prefix_) % columns * stride_;
  offsets += (grid_[0] - 1 - y) * width + grid_[1] - 1 - x;
  scores += prefix_;
  for (int64_t row = 0; row < grid_[0]; ++row, offsets += width, scores += grid_[1]) {
    int64_t k = 0;
    for (; k + 4 <= grid_[1]; k += 4) store(scores + k, load(scores + k) * scale + load(offsets + k));
    for (; k < grid_[1]; ++k) scores[k] = scores[k] * scale + offsets[k];
  }
}

OffsetProductTable::OffsetProductTable(const OffsetProducts& op, int64_t depth, ParameterReader& reader)
    : op_(op), depth_(depth) {
  rows_.learned = reader.read(op.rows);
  columns_.learned = reader.read(op.columns);
}

void OffsetProductTable::reshape(Size2d queries, Size2d keys) {
  if (op_.queries != Size2d{}) queries = op_.queries;
  if (op_.keys != Size2d{}) keys = op_.keys;
  reshape(rows_, queries[0], keys[0]);
  reshape(columns_, queries[1], keys[1]);
}

void OffsetProductTable::reshape(Axis& axis, int64_t queries, int64_t keys) const {
  if (axis.queries == queries && axis.keys == keys) return;
  axis.queries = queries;
  axis.keys = keys;
  const int64_t learned = static_cast<int64_t>(axis.learned.size()) / depth_, count = 2 * std::max(queries, keys) - 1;
  const std::vector<float> offsets =
      learned == count ? axis.learned
                       : resample_grid(axis.learned, {learned, 1}, {count, 1}, depth_, Resampling::bilinear);
  const double q = std::max(1.0, static_cast<double>(keys) / static_cast<double>(queries)),
               k = std::max(1.0, static_cast<double>(queries) / static_cast<double>(keys));
  axis.table.clear();
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) {
      const auto scaled = static_cast<int64_t>(static_cast<double>(i) * q + static_cast<double>(keys - 1 - j) * k);
      const int64_t offset = op_.of_keys ? j - i + keys - 1 : scaled;
      const auto from = offsets.begin() + offset * depth_;
      axis.table.insert(axis.table.end(), from, from + depth_);
    }
}

void OffsetProductTable::products(const Axis& axis, int64_t place, const float* query, float* result) const {
  const float* learned = &axis.table[place * axis.keys * depth_];
  for (int64_t j = 0; j < axis.keys; ++j, learned += depth_) {
    float sum = 0;
    for (int64_t c = 0; c < depth_; ++c) sum += query[c] * learned[c];
    result[j] = sum;
  }
}

void OffsetProductTable::apply(float* scores, float scale, const float* query, int64_t index) const {
  const int64_t count = op_.prefix + rows_.keys * columns_.keys;
  if (index < op_.prefix) {
    for (int64_t i = 0; i < count; ++i) scores[i] *= scale;
    return;
  }
  std::vector<float> by_row(static_cast<size_t>(rows_.keys)), by_column(static_cast<size_t>(columns_.keys));
  products(rows_, (index - op_.prefix) / columns_.queries, query, by_row.data());
  products(columns_, (index - op_.prefix) % columns_.queries, query, by_column.data());
  for (int64_t i = 0; i < op_.prefix; ++i) scores[i] *= scale;
  scores += op_.prefix;
  for (int64_t y = 0; y < rows_.keys; ++y, scores += columns_.keys)
    for (int64_t x = 0; x < columns_.keys; ++x) scores[x] = scores[x] * scale + by_row[y] + by_column[x];
}

}  // namespace wimm
