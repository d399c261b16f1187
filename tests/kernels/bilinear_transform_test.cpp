// BAT's bilinear transform and the pooling before it, against loops in double precision.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

constexpr double tolerance = 2e-6;  // float32 sums of a few values

TEST_CASE("the bilinear transform mixes rows of cells by P and columns by Q, in each group of channels") {
  const int64_t block = 3, groups = 2, height = 6, width = 9, channels = 10;
  const FloatTensor x = random_tensor({2, height, width, channels}, 1),
                    p = random_tensor({2, 1, 1, groups * block * block}, 2),
                    q = random_tensor({2, 1, 1, groups * block * block}, 3);
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto element = [&](const FloatTensor& m, int64_t n, int64_t g, int64_t row, int64_t column) {
    return sigmoid(m.data[static_cast<size_t>(((n * groups + g) * block + row) * block + column)]);
  };
  std::vector<double> expected;
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t column = 0; column < width; ++column)
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t g = c / (channels / groups), tall = height / block, wide = width / block;
          const int64_t i = y / tall, k = column / wide;
          double rows = 0, columns = 0, sum = 0;
          for (int64_t b = 0; b < block; ++b) rows += element(p, n, g, i, b), columns += element(q, n, g, b, k);
          for (int64_t a = 0; a < block; ++a)
            for (int64_t b = 0; b < block; ++b) {
              const int64_t pixel = (n * height + a * tall + y % tall) * width + b * wide + column % wide;
              sum += element(p, n, g, i, a) / rows * x.data[static_cast<size_t>(pixel * channels + c)] *
                     element(q, n, g, b, k) / columns;
            }
          expected.push_back(sum);
        }
  const auto kernel = make_kernel(BilinearTransform{block, groups});
  const std::vector<FloatTensor> inputs{x, p, q};
  CHECK(difference(run_kernel(*kernel, inputs, x.shape), expected) < tolerance);
}

TEST_CASE("adaptive max pooling takes the largest value of each cell") {
  const FloatTensor x = random_tensor({2, 6, 8, 5}, 1);
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{3, 1}, {1, 4}, {2, 8}}) {
    std::vector<double> expected(static_cast<size_t>(2 * rows * columns * 5), -1e9);
    for (int64_t i = 0; i < element_count(x.shape); ++i) {
      const int64_t n = i / 240, y = i / 40 % 6, column = i / 5 % 8, c = i % 5;
      double& cell =
          expected[static_cast<size_t>(((n * rows + y * rows / 6) * columns + column * columns / 8) * 5 + c)];
      cell = std::max<double>(cell, x.data[static_cast<size_t>(i)]);
    }
    const auto kernel = make_kernel(AdaptiveMaxPool{{rows, columns}});
    CHECK(difference(run_kernel(*kernel, {&x, 1}, {2, rows, columns, 5}), expected) == 0);
  }
}

}  // namespace
}  // namespace wimm::testing
