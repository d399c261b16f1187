// Matrix products in integers, against sums in double precision.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/kernel_tester.h"

namespace wimm {
namespace {

using testing::FixedParameters, testing::random_tensor, testing::run_kernel;

std::vector<double> product(const FloatTensor& x, const FloatTensor& weight, const FloatTensor& bias) {
  const int64_t depth = weight.shape[1], columns = weight.shape[0], rows = element_count(x.shape) / depth;
  std::vector<double> y;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double sum = bias.data[c];
      for (int64_t k = 0; k < depth; ++k)
        sum += static_cast<double>(x.data[r * depth + k]) * weight.data[c * depth + k];
      y.push_back(sum);
    }
  return y;
}

FloatTensor run_linear(const FloatTensor& x, const FloatTensor& weight, const FloatTensor& bias, int threads) {
  FixedParameters parameters({weight, bias});
  const int64_t columns = weight.shape[0];
  const auto kernel = make_kernel(Linear{.out_features = columns, .weight = 0, .bias = 1, .int8 = true},
                                  weight.shape[1], "layer", parameters);
  return run_kernel(*kernel, std::vector{x}, {x.shape[0], columns}, threads);
}

// Whole numbers of a range that the scales leave as they are.
FloatTensor whole_numbers(Shape shape, uint32_t seed, int low, int high) {
  FloatTensor tensor = random_tensor(std::move(shape), seed);
  for (float& value : tensor.data)
    value = std::round((value + 2) / 4 * static_cast<float>(high - low)) + static_cast<float>(low);
  const int64_t depth = tensor.shape.back();
  for (size_t i = 0; i < tensor.data.size(); i += static_cast<size_t>(depth)) {
    tensor.data[i] = static_cast<float>(low);
    tensor.data[i + 1] = static_cast<float>(high);
  }
  return tensor;
}

TEST_CASE("int8 products of whole numbers are exact, whatever the sizes") {
  for (const int threads : {1, 2})
    for (const int64_t rows : {1, 3, 4, 37, 300})
      for (const int64_t depth : {16, 19, 33, 160})
        for (const int64_t columns : {32, 35, 72}) {
          INFO(threads, " threads, ", rows, " rows, depth ", depth, ", ", columns, " columns");
          const FloatTensor x = whole_numbers({rows, depth}, 1, -40, 87);
          const FloatTensor weight = whole_numbers({columns, depth}, 2, -127, 127), bias = random_tensor({columns}, 3);
          CHECK(testing::difference(run_linear(x, weight, bias, threads), product(x, weight, bias)) < 1e-6);
        }
}

TEST_CASE("int8 products of any numbers err by less than the steps of 7 and 8 bits") {
  for (const float mean : {-5.0f, 0.0f, 1.0f, 1000.0f}) {
    const FloatTensor x = random_tensor({9, 200}, 1, mean), weight = random_tensor({40, 200}, 2);
    const FloatTensor bias = random_tensor({40}, 3);
    // 200 products whose errors are at random: √200 · (4 / 127 / √12 + 2 / 127 / √12 · |x|) of a range of about 40.
    const double range = std::max(4.0f, std::abs(mean) + 2);
    const double bound = 4 * std::sqrt(200.0) * range * (2 / 127. + 2 / 127.) / std::sqrt(12.0);
    const FloatTensor y = run_linear(x, weight, bias, 1);
    const std::vector<double> expected = product(x, weight, bias);
    for (size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(y.data[i] - expected[i]) < bound);
  }
}

TEST_CASE("rows of zeros, of tiny, of huge and of infinite numbers keep to themselves") {
  const FloatTensor weight = random_tensor({32, 16}, 1), bias = random_tensor({32}, 2);
  FloatTensor x = random_tensor({6, 16}, 3);
  const auto fill = [&](int64_t row, float factor) {
    for (int64_t k = 0; k < 16; ++k) x.data[row * 16 + k] *= factor;
  };
  fill(0, 0), fill(1, 1e-38f), fill(2, 1e-42f), fill(3, 1e36f);
  x.data[4 * 16 + 5] = INFINITY;
  const FloatTensor y = run_linear(x, weight, bias, 1);
  const std::vector<double> expected = product(x, weight, bias);
  for (int64_t c = 0; c < 32; ++c) {
    for (int64_t row : {0, 1, 2}) CHECK(y.data[row * 32 + c] == bias.data[c]);
    CHECK(std::abs(y.data[3 * 32 + c] - expected[3 * 32 + c]) < 1e36);
    CHECK(!std::isfinite(y.data[4 * 32 + c]));
    CHECK(std::abs(y.data[5 * 32 + c] - expected[5 * 32 + c]) < 1);
  }
}

}  // namespace
}  // namespace wimm
