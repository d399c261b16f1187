// Lambda layers, transposed convolutions, windows as images of their own, and what additive attention needs: loops in
// double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

// Sums of a few hundred products in float.
constexpr double tolerance = 3e-6;

size_t at(int64_t i) { return static_cast<size_t>(i); }

double pixel(const FloatTensor& x, int64_t n, int64_t row, int64_t column, int64_t c) {
  return x.data[at(((n * x.shape[1] + row) * x.shape[2] + column) * x.shape[3] + c)];
}

TEST_CASE("a lambda layer multiplies queries by what all pixels hold, and by what those around them do") {
  const int64_t images = 2, height = 4, width = 3, heads = 2, depth = 5, channels = 3, kernel = 3, taps = 9;
  const FloatTensor inputs[] = {random_tensor({images, height, width, heads * depth}, 1),
                                random_tensor({images, height, width, depth}, 2),
                                random_tensor({images, height, width, channels}, 3)};
  const FloatTensor weight = random_tensor({depth, 1, kernel, kernel, 1}, 4), bias = random_tensor({depth}, 5);
  const auto& [q, k, v] = inputs;
  for (const bool last : {false, true}) {
    CAPTURE(last);
    std::vector<double> expected;
    for (int64_t n = 0; n < images; ++n)
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x)
          for (int64_t head = 0; head < heads; ++head)
            for (int64_t c = 0; c < channels; ++c) {
              double sum = 0;
              for (int64_t d = 0; d < depth; ++d) {
                double total = 0, content = 0, around = last ? 0 : bias.data[at(d)];
                for (int64_t i = 0; i < height; ++i)
                  for (int64_t j = 0; j < width; ++j) {
                    const double e = std::exp(pixel(k, n, i, j, d));
                    total += e;
                    content += e * pixel(v, n, i, j, c);
                    const int64_t tap_y = i - y + 1, tap_x = j - x + 1;
                    if (std::min(tap_y, tap_x) < 0 || std::max(tap_y, tap_x) >= kernel) continue;
                    const int64_t tap = tap_y * kernel + tap_x;
                    around += weight.data[at(last ? tap * depth + d : d * taps + tap)] * pixel(v, n, i, j, c);
                  }
                sum += pixel(q, n, y, x, head * depth + d) * (content / total + around);
              }
              expected.push_back(sum);
            }
    const LambdaLayer op{
        .heads = heads, .kernel = {kernel, kernel}, .weight = 0, .bias = last ? no_id : 1, .last = last};
    FixedParameters parameters{weight, bias};
    CHECK(difference(run_kernel(*make_kernel(op, parameters), inputs, {images, height, width, heads * channels}),
                     expected) < tolerance);
  }
}

TEST_CASE("a transposed convolution spreads each pixel over those that its kernel reaches") {
  const int64_t height = 3, width = 4, in = 6;
  struct Case {
    int64_t out, kernel, stride, padding, groups;
  };
  for (const Case& test : {Case{5, 3, 1, 1, 1}, {4, 4, 2, 1, 1}, {6, 4, 2, 1, 6}, {4, 3, 2, 0, 2}}) {
    const int64_t out = test.out, kernel = test.kernel, stride = test.stride, padding = test.padding,
                  groups = test.groups;
    CAPTURE(groups);
    CAPTURE(stride);
    const FloatTensor x = random_tensor({2, height, width, in}, 1);
    const FloatTensor weight = random_tensor({in, out / groups, kernel, kernel}, 2), bias = random_tensor({out}, 3);
    const int64_t rows = (height - 1) * stride + kernel - 2 * padding,
                  columns = (width - 1) * stride + kernel - 2 * padding;
    std::vector<double> expected;
    for (int64_t i = 0; i < 2 * rows * columns * out; ++i) expected.push_back(bias.data[at(i % out)]);
    for (int64_t n = 0; n < 2; ++n)
      for (int64_t y = 0; y < height; ++y)
        for (int64_t column = 0; column < width; ++column)
          for (int64_t c = 0; c < in; ++c)
            for (int64_t o = 0; o < out / groups; ++o)
              for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
                const int64_t to_y = y * stride + tap / kernel - padding,
                              to_x = column * stride + tap % kernel - padding;
                if (std::min(to_y, to_x) < 0 || to_y >= rows || to_x >= columns) continue;
                const int64_t channel = c / (in / groups) * (out / groups) + o;
                expected[at(((n * rows + to_y) * columns + to_x) * out + channel)] +=
                    pixel(x, n, y, column, c) * weight.data[at((c * (out / groups) + o) * kernel * kernel + tap)];
              }
    const ConvTranspose2d op{out, kernel, stride, padding, groups, 0, 1};
    FixedParameters parameters{weight, bias};
    CHECK(difference(run_kernel(*make_kernel(op, in, parameters), {&x, 1}, {2, rows, columns, out}), expected) <
          tolerance);
  }
}

TEST_CASE("an image's windows become images, and the image again") {
  const FloatTensor x = random_tensor({2, 4, 6, 3}, 1);
  const FloatTensor windows = run_kernel(*make_kernel(ToWindows{{2, 3}}), {&x, 1}, {8, 2, 3, 3});
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < 4 * 6 * 3; ++i) {
      const int64_t y = i / 18, column = i / 3 % 6, window = n * 4 + y / 2 * 2 + column / 3;
      CHECK(pixel(windows, window, y % 2, column % 3, i % 3) == pixel(x, n, y, column, i % 3));
    }
  const FloatTensor inputs[] = {windows, x};
  CHECK(run_kernel(*make_kernel(FromWindows{{2, 3}}), inputs, x.shape).data == x.data);
}

TEST_CASE("pixels become of length 1, tokens are averaged, and pixels summed by their weights") {
  const int64_t images = 2, pixels = 6, channels = 5;
  const FloatTensor x = random_tensor({images, 2, 3, channels}, 1), weight = random_tensor({channels, 1}, 2);
  std::vector<double> units, sums(at(images * channels)), means;
  for (int64_t n = 0; n < images; ++n) {
    const auto value = [&](int64_t p, int64_t c) { return double{x.data[at((n * pixels + p) * channels + c)]}; };
    double squares = 0;
    for (int64_t p = 0; p < pixels; ++p) {
      double length = 0, score = 0;
      for (int64_t c = 0; c < channels; ++c) {
        length += value(p, c) * value(p, c);
        score += value(p, c) * weight.data[at(c)];
      }
      squares += score * score;
      for (int64_t c = 0; c < channels; ++c) {
        units.push_back(value(p, c) / std::sqrt(length));
        sums[at(n * channels + c)] += score * value(p, c);
      }
    }
    for (int64_t c = 0; c < channels; ++c) sums[at(n * channels + c)] /= std::sqrt(squares);
    for (int64_t c = 0; c < channels; ++c) means.push_back((value(0, c) + value(1, c) + value(2, c) + value(3, c)) / 4);
  }
  FixedParameters parameters{weight};
  CHECK(difference(run_kernel(*make_kernel(UnitNorm{}), {&x, 1}, x.shape), units) < tolerance);
  CHECK(difference(run_kernel(*make_kernel(AdditivePool{0}, parameters), {&x, 1}, {images, channels}), sums) <
        tolerance);
  const FloatTensor tokens{{images, pixels, channels}, x.data};
  CHECK(difference(run_kernel(*make_kernel(PoolTokens{4}), {&tokens, 1}, {images, 1, channels}), means) < tolerance);
}

}  // namespace
}  // namespace wimm::testing
