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
    taps.push_back(resampling == Resampling::bicubic
                       ? bicubic_taps(in, out, i)
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

}  // namespace

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
