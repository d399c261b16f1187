// Attention as a loop in double precision.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "kernels/kernel_tester.h"

namespace wimm::testing {

// As tests of attention have it; more where scores come of longer sums.
inline constexpr double attention_tolerance = 5e-6;

struct Place {
  int64_t y, x;
};

// A value [N, H, W, C], or tokens [N, L, C] of one row.
struct Pixels {
  const FloatTensor& tensor;
  int64_t height() const { return tensor.shape.size() == 4 ? tensor.shape[1] : 1; }
  int64_t width() const { return tensor.shape.rbegin()[1]; }
  double at(int64_t n, Place p, int64_t c) const {
    return tensor.data[static_cast<size_t>(((n * height() + p.y) * width() + p.x) * tensor.shape.back() + c)];
  }
};

// softmax(score) · v of every query, in its place, of two heads; `score` is that of a head's query and key, `sees`
// whether the query takes the key into account.
struct Naive {
  int64_t heads, depth;
  std::function<double(int64_t head, int64_t n, Place query, Place key)> score;
  std::function<bool(Place query, Place key)> sees;

  std::vector<double> operator()(const Pixels& q, const Pixels& v, int64_t images) const {
    std::vector<double> result;
    for (int64_t n = 0; n < images; ++n)
      for (int64_t qy = 0; qy < q.height(); ++qy)
        for (int64_t qx = 0; qx < q.width(); ++qx)
          for (int64_t head = 0; head < heads; ++head) mix(v, head, n, {qy, qx}, result);
    return result;
  }

 private:
  void mix(const Pixels& v, int64_t head, int64_t n, Place query, std::vector<double>& result) const {
    double total = 0;
    std::vector<double> sum(static_cast<size_t>(depth));
    for (int64_t y = 0; y < v.height(); ++y)
      for (int64_t x = 0; x < v.width(); ++x) {
        if (!sees(query, {y, x})) continue;
        const double weight = std::exp(score(head, n, query, {y, x}));
        total += weight;
        for (int64_t d = 0; d < depth; ++d) sum[static_cast<size_t>(d)] += weight * v.at(n, {y, x}, head * depth + d);
      }
    for (const double value : sum) result.push_back(value / total);
  }
};

inline double dot(const Pixels& a, const Pixels& b, int64_t n, Place i, Place j, int64_t from, int64_t depth) {
  double sum = 0;
  for (int64_t d = 0; d < depth; ++d) sum += a.at(n, i, from + d) * b.at(n, j, from + d);
  return sum;
}

inline Attention attention(int64_t heads, int64_t depth, double scale) {
  const Attention::Heads all{0, depth, depth};
  return {.heads = heads, .kv_heads = heads, .scale = scale, .q = all, .k = all, .v = all};
}

struct Qkv {
  FloatTensor tensors[3];
  Pixels q{tensors[0]}, k{tensors[1]}, v{tensors[2]};
  Qkv(const Shape& queries, const Shape& keys)
      : tensors{random_tensor(queries, 1), random_tensor(keys, 2), random_tensor(keys, 3)} {}
};

}  // namespace wimm::testing
