// Linear and separable attention against loops in double precision.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

constexpr double tolerance = 2e-6;  // float32 sums of a few hundred values

TEST_CASE("linear attention weighs values by the products of what is positive of queries and keys") {
  const int64_t heads = 3, depth = 5, height = 6, width = 7, pixels = height * width;
  const FloatTensor x = random_tensor({2, height, width, heads * 3 * depth}, 1);
  const auto at = [&](int64_t n, int64_t pixel, int64_t head, int64_t part, int64_t i) -> double {
    return x.data[static_cast<size_t>((((n * pixels + pixel) * heads + head) * 3 + part) * depth + i)];
  };
  std::vector<double> expected;
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < depth; ++i) {
          double sum = 0, total = 0;
          for (int64_t s = 0; s < pixels; ++s) {
            double product = 0;
            for (int64_t k = 0; k < depth; ++k)
              product += std::max(at(n, p, h, 0, k), 0.0) * std::max(at(n, s, h, 1, k), 0.0);
            sum += product * at(n, s, h, 2, i);
            total += product;
          }
          expected.push_back(sum / (total + 1e-5));
        }
  const auto kernel = make_kernel(LinearAttention{.depth = depth, .eps = 1e-5});
  CHECK(difference(run_kernel(*kernel, {&x, 1}, {2, height, width, heads * depth}), expected) < tolerance);
}

TEST_CASE("separable attention gives each value the context of the pixels at its place in other patches") {
  const int64_t height = 4, width = 6, channels = 7, stride = 1 + 2 * channels;
  const FloatTensor x = random_tensor({2, height, width, stride}, 1, 1);
  const auto at = [&](int64_t n, int64_t row, int64_t column, int64_t c) -> double {
    return x.data[static_cast<size_t>(((n * height + row) * width + column) * stride + c)];
  };
  std::vector<double> expected;
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t row = 0; row < height; ++row)
      for (int64_t column = 0; column < width; ++column)
        for (int64_t c = 0; c < channels; ++c) {
          double context = 0, total = 0;
          for (int64_t r = row % 2; r < height; r += 2)
            for (int64_t k = column % 3; k < width; k += 3) {
              const double weight = std::exp(at(n, r, k, 0));
              context += weight * at(n, r, k, 1 + c);
              total += weight;
            }
          expected.push_back(std::max(at(n, row, column, 1 + channels + c), 0.0) * context / total);
        }
  const auto kernel = make_kernel(SeparableAttention{{2, 3}});
  CHECK(difference(run_kernel(*kernel, {&x, 1}, {2, height, width, channels}), expected) < tolerance);
}

}  // namespace
}  // namespace wimm::testing
