// Learned tokens and positions against loops, and resampling against torch.nn.functional.interpolate.
#include <doctest/doctest.h>

#include <cmath>

#include "graph/shapes.h"
#include "kernels/kernel_tester.h"
#include "kernels/resample.h"
#include "wimm/error.h"

namespace wimm::testing {
namespace {

// A rounding error or two of float32.
constexpr double tolerance = 1e-6;

std::vector<double> as_double(std::span<const float> values) { return {values.begin(), values.end()}; }

TEST_CASE("grids are resampled as PyTorch resamples them") {
  // interpolate(x, to, …) of x[h, w, c] = (7 i mod 11) - 5, i counting its 3 · 4 · 2 elements.
  std::vector<float> x;
  for (int i = 0; i < 24; ++i) x.push_back(static_cast<float>(7 * i % 11 - 5));
  struct Case {
    Resampling resampling;
    Size2d to;
    std::vector<double> expected;
  };
  const Case cases[] = {
      {Resampling::bicubic,
       {2, 3},
       {-4.120414, 2.337405, -0.205747, -0.7502603, 4.07232, -0.6690918, -2.739997, 1.407124, 1.441928, -3.433248,
        -0.2632027, 1.145667}},
      {Resampling::bicubic, {5, 2}, {-3.315141, 3.156557,   2.164198,   -0.8272259, -2.952017, 1.387535,   2.771555,
                                     -1.007617, -2.23967,   -1.194215,  3.239669,   -1.169422, -1.280036,  -0.7261005,
                                     0.6579186, -0.5344146, -0.7242321, -0.1187432, -1.111102, -0.09394981}},
      {Resampling::bilinear, {5, 2}, {-3.5, 3.5,  2.5,  -1.5,       -3.1,      1.7,       2.9,  -1.1, -2.5, -1,
                                      3.5,  -0.5, -1.9, -0.3999999, 0.7999994, 0.1000001, -1.5, 0,    -1,   0.5}},
      {Resampling::bilinear_aligned, {5, 2}, {-5, 2, 4,    0,   -4.5, 2.5, 4.5, 0.5, -4, 3,
                                              5,  1, -3.5, 3.5, 0,    1.5, -3,  4,   -5, 2}},
  };
  for (const auto& [resampling, to, expected] : cases) {
    const std::vector<float> got = resample_grid(x, {3, 4}, to, 2, resampling);
    CHECK(difference({{to[0], to[1], 2}, got}, expected) < tolerance);
    // Tokens before the grid stay as they are.
    std::vector<float> positions{8, 9};
    positions.insert(positions.end(), x.begin(), x.end());
    std::vector<double> behind{8, 9};
    behind.insert(behind.end(), expected.begin(), expected.end());
    const std::vector<float> all = resample_positions(positions, 1, {3, 4}, to, 2, resampling);
    CHECK(difference({{1, 1 + to[0] * to[1], 2}, all}, behind) < tolerance);
  }
}

TEST_CASE("tokens are repeated for each image, joined, dropped and selected") {
  const FloatTensor learned = random_tensor({1, 2, 5}, 1), x = random_tensor({3, 4, 5}, 2);
  FixedParameters parameters{learned};
  const FloatTensor repeated =
      run_kernel(*make_kernel(LearnedTokens{.tokens = 0, .count = 2}, parameters), {&x, 1}, {3, 2, 5});
  std::vector<double> expected;
  for (int n = 0; n < 3; ++n) expected.insert(expected.end(), learned.data.begin(), learned.data.end());
  CHECK(difference(repeated, expected) == 0);

  const FloatTensor both[] = {repeated, x};
  const FloatTensor joined = run_kernel(*make_kernel(ConcatTokens{}), both, {3, 6, 5});
  expected.clear();
  for (int64_t n = 0; n < 3; ++n) {
    expected.insert(expected.end(), learned.data.begin(), learned.data.end());
    expected.insert(expected.end(), x.data.begin() + n * 20, x.data.begin() + (n + 1) * 20);
  }
  CHECK(difference(joined, expected) == 0);

  CHECK(difference(run_kernel(*make_kernel(DropTokens{2}), {&joined, 1}, {3, 4, 5}), as_double(x.data)) == 0);

  expected.clear();
  for (int64_t n = 0; n < 3; ++n)
    expected.insert(expected.end(), x.data.begin() + n * 20 + 5, x.data.begin() + n * 20 + 10);
  CHECK(difference(run_kernel(*make_kernel(SelectToken{3}), {&joined, 1}, {3, 5}), expected) == 0);
}

TEST_CASE("positions are added to each image's tokens, resampled where an image has another grid") {
  const FloatTensor positions = random_tensor({1, 1 + 3 * 4, 6}, 1);
  FixedParameters parameters{positions};
  const AddPositions op{.positions = 0, .prefix = 1, .grid = {3, 4}};
  const auto sum = [](const FloatTensor& x, std::span<const float> added) {
    std::vector<double> result;
    for (size_t i = 0; i < x.data.size(); ++i) result.push_back(double{x.data[i]} + added[i % added.size()]);
    return result;
  };
  const FloatTensor x = random_tensor({2, 13, 6}, 2);
  CHECK(difference(run_kernel(*make_kernel(op, parameters), {&x, 1}, x.shape), sum(x, positions.data)) < tolerance);

  FloatTensor planes = positions;  // without the prefix's
  planes.data.erase(planes.data.begin(), planes.data.begin() + 6);
  const std::vector<float> grid = planes.data;
  for (size_t i = 0; i < grid.size(); ++i) planes.data[i % 6 * 12 + i / 6] = grid[i];
  FixedParameters plane_parameters{planes};
  const FloatTensor pixels = random_tensor({2, 12, 6}, 5);
  const AddPositions of_planes{.positions = 0, .prefix = 0, .grid = {3, 4}, .planes = true};
  CHECK(difference(run_kernel(*make_kernel(of_planes, plane_parameters), {&pixels, 1}, pixels.shape),
                   sum(pixels, grid)) < tolerance);

  const FloatTensor larger[] = {random_tensor({2, 1 + 5 * 2, 6}, 3), random_tensor({2, 5, 2, 6}, 4)};
  const auto resampled = resample_positions(positions.data, 1, {3, 4}, {5, 2}, 6, Resampling::bicubic);
  CHECK(difference(run_kernel(*make_kernel(op, parameters), larger, larger[0].shape), sum(larger[0], resampled)) <
        tolerance);
}

TEST_CASE("positions as projected waves are added to pixels") {
  const int64_t height = 3, width = 5, channels = 6;
  const FloatTensor weight = random_tensor({channels, 64, 1, 1}, 1), bias = random_tensor({channels}, 2),
                    x = random_tensor({2, height, width, channels}, 3);
  const auto wave = [](int64_t place, int64_t size, int64_t f) {
    const double angle = static_cast<double>(place + 1) / (static_cast<double>(size) + 1e-6) * 2 * M_PI /
                         std::pow(10000.0, 2 * static_cast<double>(f / 2) / 32);
    return f % 2 == 0 ? std::sin(angle) : std::cos(angle);
  };
  std::vector<double> expected;
  for (int64_t i = 0; i < 2 * height * width * channels; ++i) {
    const int64_t c = i % channels, column = i / channels % width, row = i / channels / width % height;
    double sum = double{x.data[i]} + bias.data[c];
    for (int64_t f = 0; f < 32; ++f)
      sum += weight.data[c * 64 + f] * wave(row, height, f) + weight.data[c * 64 + 32 + f] * wave(column, width, f);
    expected.push_back(sum);
  }
  FixedParameters parameters{weight, bias};
  CHECK(difference(run_kernel(*make_kernel(AddFourierPositions{0, 1}, parameters), {&x, 1}, x.shape), expected) <
        tolerance);
}

TEST_CASE("tokens that do not suit a layer are refused") {
  const auto infer = [](Op op, std::vector<Shape> inputs) {
    return infer_shape(Node{std::move(op), {}, "layer", 8}, inputs);
  };
  const Shape tokens{1, 5, 8};
  CHECK(infer(ConcatTokens{}, {tokens, {1, 2, 8}}) == Shape{1, 7, 8});
  CHECK(infer(DropTokens{1}, {tokens}) == Shape{1, 4, 8});
  CHECK_THROWS_AS(infer(DropTokens{5}, {tokens}), Error);
  CHECK_THROWS_AS(infer(SelectToken{5}, {tokens}), Error);
  CHECK_THROWS_AS(infer(SelectToken{0}, {{1, 2, 2, 8}}), Error);
  CHECK_THROWS_AS(infer(AddPositions{.positions = 0, .prefix = 0, .grid = {2, 2}}, {tokens}), Error);
}

TEST_CASE("tokens are pooled as pixels are") {
  const FloatTensor x = random_tensor({2, 7, 5}, 1);
  std::vector<double> expected(10);
  for (int64_t i = 0; i < 70; ++i) expected[i / 35 * 5 + i % 5] += x.data[i] / 7.0;
  CHECK(difference(run_kernel(*make_kernel(GlobalPool{PoolKind::avg}, {{5}, 5}), {&x, 1}, {2, 5}), expected) <
        tolerance);
}

}  // namespace
}  // namespace wimm::testing
