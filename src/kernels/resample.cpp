// Two passes of weighted sums, along the width and then along the height.
#include "kernels/resample.h"

#include <algorithm>
#include <cmath>

namespace wimm {
namespace {

// An output is the sum of weights[k] · source[first + k].
struct Taps {
  int64_t first;
  std::vector<float> weights;
};

// Keys' cubic convolution with a = -0.5.
double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// The filter is stretched where the axis shrinks, cut at the edges, and normalised.
Taps bicubic_taps(int64_t in, int64_t out, int64_t i) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), stretch = std::max(scale, 1.0);
  const double center = scale * (static_cast<double>(i) + 0.5), support = 2 * stretch;
  Taps taps{std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0), {}};
  const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), in);
  std::vector<double> weights;
  double sum = 0;
  for (int64_t k = taps.first; k < end; ++k)
    sum += weights.emplace_back(cubic((static_cast<double>(k) - center + 0.5) / stretch));
  for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  return taps;
}

// Keys' filter with a = -0.75, never stretched; what lies beyond an edge is the edge.
Taps bicubic_sharp_taps(int64_t in, int64_t out, int64_t i) {
  const double at = static_cast<double>(in) / static_cast<double>(out) * (static_cast<double>(i) + 0.5) - 0.5;
  const double base = std::floor(at), t = at - base;
  const auto near = [](double x) { return (1.25 * x - 2.25) * x * x + 1; };
  const auto far = [](double x) { return ((-0.75 * x + 3.75) * x - 6) * x + 3; };
  const double weights[] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
  const auto first = static_cast<int64_t>(base) - 1;
  Taps taps{std::clamp<int64_t>(first, 0, in - 1), {}};
  taps.weights.resize(static_cast<size_t>(std::clamp<int64_t>(first + 3, 0, in - 1) - taps.first + 1));
  for (int64_t k = 0; k < 4; ++k)
    taps.weights[std::clamp<int64_t>(first + k, 0, in - 1) - taps.first] += static_cast<float>(weights[k]);
  return taps;
}

Taps bilinear_taps(int64_t in, int64_t out, int64_t i, bool aligned) {
  const auto position = static_cast<double>(i), size = static_cast<double>(in), outputs = static_cast<double>(out);
  const double at = !aligned  ? std::max(0.0, size / outputs * (position + 0.5) - 0.5)
                    : out > 1 ? (size - 1) / (outputs - 1) * position
                              : 0;
  const int64_t first = std::min(static_cast<int64_t>(at), in - 1);
  const auto next = static_cast<float>(at - static_cast<double>(first));
  return first + 1 < in ? Taps{first, {1 - next, next}} : Taps{first, {1}};
}

std::vector<Taps> taps_of(int64_t in, int64_t out, Resampling resampling) {
  std::vector<Taps> taps;
  for (int64_t i = 0; i < out; ++i)
    taps.push_back(resampling == Resampling::bicubic ? bicubic_taps(in, out, i)
                   : resampling == Resampling::bicubic_sharp
                       ? bicubic_sharp_taps(in, out, i)
                       : bilinear_taps(in, out, i, resampling == Resampling::bilinear_aligned));
  return taps;
}

// [outer, in, inner] → [outer, taps.size(), inner].
std::vector<float> resample_axis(std::span<const float> x, int64_t outer, int64_t in, int64_t inner,
                                 const std::vector<Taps>& taps) {
  std::vector<float> y(outer * taps.size() * inner);
  float* out = y.data();
  for (int64_t o = 0; o < outer; ++o)
    for (const auto& [first, weights] : taps) {
      for (size_t k = 0; k < weights.size(); ++k) {
        const float* source = x.data() + (o * in + first + static_cast<int64_t>(k)) * inner;
        for (int64_t c = 0; c < inner; ++c) out[c] += weights[k] * source[c];
      }
      out += inner;
    }
  return y;
}

// Where 2 · reach + 1 learned offsets lie when they are to reach `target`: apart by powers of a ratio, from 1 on.
std::vector<float> spread_offsets(int64_t reach, int64_t target) {
  double low = 1.01, high = 1.5, ratio = low;
  while (high - low > 1e-6) {
    ratio = (low + high) / 2;
    const double end = (1 - std::pow(ratio, static_cast<double>(reach))) / (1 - ratio);
    (end > static_cast<double>(target) ? high : low) = ratio;
  }
  std::vector<float> offsets(2 * reach + 1);
  double at = 1;
  for (int64_t i = 1; i <= reach; ++i) {
    offsets[reach + i] = static_cast<float>(at);
    offsets[reach - i] = static_cast<float>(-at);
    at += std::pow(ratio, static_cast<double>(i));
  }
  return offsets;
}

// Linear between learned offsets, constant beyond them.
std::vector<Taps> offset_taps(int64_t reach, int64_t target) {
  const std::vector<float> learned = spread_offsets(reach, target);
  std::vector<Taps> taps;
  for (int64_t i = -target; i <= target; ++i) {
    const auto at = static_cast<float>(i);
    const auto right = std::min<int64_t>(std::ranges::lower_bound(learned, at) - learned.begin(), 2 * reach),
               left = std::max<int64_t>(right - 1, 0);
    const float before = std::max(at - learned[left], 0.0f), after = std::max(learned[right] - at, 0.0f);
    if (left == right || before + after == 0)
      taps.push_back({left, {1}});
    else
      taps.push_back({left, {after / (before + after), before / (before + after)}});
  }
  return taps;
}

using Matrix = std::vector<std::vector<double>>;  // of rows

// The matrix that resizes an axis: [out, in].
Matrix resize_matrix(int64_t in, int64_t out, Resampling resampling) {
  Matrix matrix(out, std::vector<double>(in));
  const std::vector<Taps> taps = taps_of(in, out, resampling);
  for (int64_t i = 0; i < out; ++i)
    for (size_t k = 0; k < taps[i].weights.size(); ++k)
      matrix[i][taps[i].first + static_cast<int64_t>(k)] = taps[i].weights[k];
  return matrix;
}

Matrix transposed(const Matrix& a) {
  Matrix result(a[0].size(), std::vector<double>(a.size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[0].size(); ++j) result[j][i] = a[i][j];
  return result;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix result(a.size(), std::vector<double>(b[0].size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t k = 0; k < b.size(); ++k)
      for (size_t j = 0; j < b[0].size(); ++j) result[i][j] += a[i][k] * b[k][j];
  return result;
}

// x where a · x = b, by Gauss's elimination with pivots; a is square.
Matrix solve(Matrix a, Matrix b) {
  const size_t size = a.size();
  for (size_t column = 0; column < size; ++column) {
    size_t pivot = column;
    for (size_t row = column; row < size; ++row)
      if (std::abs(a[row][column]) > std::abs(a[pivot][column])) pivot = row;
    std::swap(a[column], a[pivot]);
    std::swap(b[column], b[pivot]);
    for (size_t row = 0; row < size; ++row) {
      if (row == column) continue;
      const double factor = a[row][column] / a[column][column];
      for (size_t k = column; k < size; ++k) a[row][k] -= factor * a[column][k];
      for (size_t k = 0; k < b[row].size(); ++k) b[row][k] -= factor * b[column][k];
    }
  }
  for (size_t row = 0; row < size; ++row)
    for (double& value : b[row]) value /= a[row][row];
  return b;
}

// Moore and Penrose's inverse of a matrix of full rank.
Matrix pseudo_inverse(const Matrix& a) {
  const Matrix t = transposed(a);
  return a.size() >= a[0].size() ? solve(product(t, a), t) : transposed(solve(product(a, t), a));
}

// The pseudo-inverse of resizing an axis, transposed, as what gives each output: [out, in] → of `in` weights `out`.
std::vector<Taps> patch_taps(int64_t in, int64_t out, Resampling resampling) {
  std::vector<Taps> taps;
  for (const auto& row : transposed(pseudo_inverse(resize_matrix(in, out, resampling))))
    taps.push_back({0, {row.begin(), row.end()}});
  return taps;
}

}  // namespace

std::vector<float> resample_patch_weights(std::span<const float> weights, int64_t count, Size2d from, Size2d to,
                                          Resampling resampling) {
  if (resampling == Resampling::bilinear_aligned) resampling = Resampling::bilinear;  // timm aligns no patches' corners
  const auto rows = resample_axis(weights, count * from[0], from[1], 1, patch_taps(from[1], to[1], resampling));
  return resample_axis(rows, count, from[0], to[1], patch_taps(from[0], to[0], resampling));
}

std::vector<float> resample_offsets(std::span<const float> table, Size2d from, Size2d to, int64_t heads) {
  const int64_t height = 2 * from[0] - 1, width = 2 * from[1] - 1;
  const auto grid = table.first(height * width * heads);
  const auto rows = resample_axis(grid, height, width, heads, offset_taps(from[1] - 1, to[1] - 1));
  auto result = resample_axis(rows, 1, height, (2 * to[1] - 1) * heads, offset_taps(from[0] - 1, to[0] - 1));
  result.insert(result.end(), table.begin() + static_cast<ptrdiff_t>(grid.size()), table.end());
  return result;
}

std::vector<float> resample_grid(std::span<const float> values, Size2d from, Size2d to, int64_t channels,
                                 Resampling resampling) {
  const auto rows = resample_axis(values, from[0], from[1], channels, taps_of(from[1], to[1], resampling));
  return resample_axis(rows, 1, from[0], to[1] * channels, taps_of(from[0], to[0], resampling));
}

std::vector<float> resample_positions(std::span<const float> positions, int64_t prefix, Size2d from, Size2d to,
                                      int64_t channels, Resampling resampling) {
  const auto head = positions.first(prefix * channels);
  const auto grid = resample_grid(positions.subspan(head.size()), from, to, channels, resampling);
  std::vector<float> result(head.begin(), head.end());
  result.insert(result.end(), grid.begin(), grid.end());
  return result;
}

}  // namespace wimm
