// Products of two values, and the softmax over tokens, against loops in double precision.
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

constexpr double tolerance = 2e-6;  // sums in float32, and the kernel's exponential

using Sizes = std::array<int64_t, 5>;  // images, heads, tokens, rows, columns

// Row by row, as [images, length, heads · width].
double at(const FloatTensor& x, int64_t n, int64_t i, int64_t head, int64_t heads, int64_t k) {
  return x.data[static_cast<size_t>((n * x.shape[1] + i) * x.shape[2] + head * (x.shape[2] / heads) + k)];
}

TEST_CASE("matrices are multiplied for each image and head, the first as it is or transposed") {
  for (const auto& [images, heads, tokens, rows, columns] :
       {Sizes{1, 1, 1, 1, 1}, {2, 1, 13, 9, 20}, {2, 3, 150, 5, 7}, {1, 8, 65, 19, 19}, {1, 1, 7, 49, 32}}) {
    CAPTURE(tokens);
    const FloatTensor a = random_tensor({images, tokens, heads * rows}, 1, 1),
                      b = random_tensor({images, rows, heads * columns}, 2, 1),
                      c = random_tensor({images, tokens, heads * columns}, 3, 1);
    std::vector<double> product, transposed;
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t i = 0; i < tokens; ++i)
        for (int64_t k = 0; k < heads * columns; ++k) {
          double sum = 0;
          for (int64_t r = 0; r < rows; ++r)
            sum += at(a, n, i, k / columns, heads, r) * at(b, n, r, k / columns, heads, k % columns);
          product.push_back(sum);
        }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < heads * columns; ++k) {
          double sum = 0;
          for (int64_t i = 0; i < tokens; ++i)
            sum += at(a, n, i, k / columns, heads, r) * at(c, n, i, k / columns, heads, k % columns);
          transposed.push_back(sum);
        }
    }
    const FloatTensor factors[] = {a, b}, others[] = {a, c};
    CHECK(difference(run_kernel(*make_kernel(MatMul{.heads = heads}), factors, c.shape), product) < tolerance);
    CHECK(difference(run_kernel(*make_kernel(MatMul{.heads = heads, .transposed = true}), others, b.shape),
                     transposed) < tolerance);
  }
}

TEST_CASE("each channel's tokens become their softmax") {
  for (const Shape& shape : {Shape{1, 1, 1}, {2, 50, 13}, {1, 197, 8}}) {
    FloatTensor x = random_tensor(shape, 1);
    for (float& value : x.data) value *= 20;
    std::vector<double> expected(x.data.size());
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t c = 0; c < shape[2]; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < shape[1]; ++i) sum += std::exp(at(x, n, i, 0, 1, c));
        for (int64_t i = 0; i < shape[1]; ++i)
          expected[static_cast<size_t>((n * shape[1] + i) * shape[2] + c)] = std::exp(at(x, n, i, 0, 1, c)) / sum;
      }
    CHECK(difference(run_kernel(*make_kernel(SoftmaxTokens{}), {&x, 1}, shape), expected) < tolerance);
  }
}

}  // namespace
}  // namespace wimm::testing
