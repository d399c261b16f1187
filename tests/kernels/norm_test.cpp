// Group norm, layer norm, RMS norm, global response norm, EvoNorm-S0 and filter response norm against loops in double
// precision.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

// Float32 sums over a few thousand values, in another order than the double precision loop's.
constexpr double tolerance = 2e-6;

struct Moments {
  double mean = 0, variance = 0;
};

// Over all pixels of image n and channels [begin, end).
Moments moments(const FloatTensor& x, int64_t n, int64_t begin, int64_t end) {
  const int64_t channels = x.shape.back(), pixels = element_count(x.shape) / x.shape[0] / channels;
  const auto each = [&](auto use) {
    for (int64_t p = n * pixels; p < (n + 1) * pixels; ++p) {
      for (int64_t c = begin; c < end; ++c) use(static_cast<double>(x.data[static_cast<size_t>(p * channels + c)]));
    }
  };
  const auto count = static_cast<double>(pixels * (end - begin));
  Moments m;
  each([&](double v) { m.mean += v / count; });
  each([&](double v) { m.variance += (v - m.mean) * (v - m.mean) / count; });
  return m;
}

struct Case {
  Shape shape;
  int64_t groups;
  float mean;
};

const Case cases[] = {
    {{2, 9, 7, 24}, 3, 0}, {{1, 12, 12, 64}, 32, 0},   // groups of two channels
    {{1, 5, 6, 10}, 5, 0},                             // channels that are no multiple of four
    {{1, 1, 1, 8}, 2, 0},  {{1, 40, 40, 16}, 1, 100},  // a mean far above the deviation
};

template <class Use>
void for_each_value(const FloatTensor& x, Use&& use) {
  const int64_t channels = x.shape.back(), image = element_count(x.shape) / x.shape[0];
  for (int64_t i = 0; i < element_count(x.shape); ++i) use(i, i / image, i % channels);
}

TEST_CASE("group norm normalises each group of an image, then scales and shifts each channel") {
  for (const auto& [dims, groups, mean] : cases) {
    const Shape& shape = dims;
    CAPTURE(to_string(shape));
    const FloatTensor x = random_tensor(shape, 1, mean), weight = random_tensor({shape[3]}, 2),
                      bias = random_tensor({shape[3]}, 3);
    FixedParameters parameters{weight, bias};
    const auto kernel =
        make_kernel(GroupNorm{.groups = groups, .eps = 1e-5, .weight = 0, .bias = 1}, shape[3], parameters);

    std::vector<double> expected(x.data.size());
    const int64_t size = shape[3] / groups;
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const Moments m = moments(x, n, c / size * size, c / size * size + size);
      expected[i] = (x.data[i] - m.mean) / std::sqrt(m.variance + 1e-5) * weight.data[c] + bias.data[c];
    });
    CHECK(difference(run_kernel(*kernel, {&x, 1}, shape), expected) < tolerance * (1 + mean));

    const auto with_relu =
        make_kernel(GroupNorm{.groups = groups, .eps = 1e-5, .weight = 0, .bias = 1, .activation = Activation::relu},
                    shape[3], parameters);
    for (double& value : expected) value = std::max(value, 0.0);
    CHECK(difference(run_kernel(*with_relu, {&x, 1}, shape), expected) < tolerance * (1 + mean));

    const auto unbiased =
        make_kernel(GroupNorm{.groups = groups, .eps = 1e-5, .weight = 0, .bias = no_id}, shape[3], parameters);
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const Moments m = moments(x, n, c / size * size, c / size * size + size);
      expected[i] = (x.data[i] - m.mean) / std::sqrt(m.variance + 1e-5) * weight.data[c];
    });
    CHECK(difference(run_kernel(*unbiased, {&x, 1}, shape), expected) < tolerance * (1 + mean));
  }
}

TEST_CASE("EvoNorm-S0 gates by its own sigmoid and divides by the deviation of each group") {
  for (const auto& [dims, groups, mean] : cases) {
    const Shape& shape = dims;
    CAPTURE(to_string(shape));
    const FloatTensor x = random_tensor(shape, 1, mean), v = random_tensor({shape[3]}, 2);
    const FloatTensor weight = random_tensor({shape[3]}, 3), bias = random_tensor({shape[3]}, 4);
    FixedParameters parameters{v, weight, bias};
    const EvoNormS0 op{.groups = groups, .eps = 1e-5, .v = 0, .weight = 1, .bias = 2};

    std::vector<double> expected(x.data.size());
    const int64_t size = shape[3] / groups;
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const Moments m = moments(x, n, c / size * size, c / size * size + size);
      const double gate = 1 / (1 + std::exp(-static_cast<double>(v.data[c]) * x.data[i]));
      expected[i] = x.data[i] * gate / std::sqrt(m.variance + 1e-5) * weight.data[c] + bias.data[c];
    });
    CHECK(difference(run_kernel(*make_kernel(op, shape[3], parameters), {&x, 1}, shape), expected) < tolerance);

    const EvoNormS0 ungated{.groups = groups, .eps = 1e-5, .weight = 1, .bias = 2};
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const Moments m = moments(x, n, c / size * size, c / size * size + size);
      expected[i] = x.data[i] / std::sqrt(m.variance + 1e-5) * weight.data[c] + bias.data[c];
    });
    CHECK(difference(run_kernel(*make_kernel(ungated, shape[3], parameters), {&x, 1}, shape), expected) < tolerance);
  }
}

TEST_CASE("global response norm scales each channel by its share of all channels' norms") {
  for (const auto& [dims, groups, mean] : cases) {
    const Shape& shape = dims;
    CAPTURE(to_string(shape));
    const int64_t channels = shape[3], pixels = shape[1] * shape[2];
    const FloatTensor x = random_tensor(shape, 1, mean), weight = random_tensor({channels}, 2),
                      bias = random_tensor({channels}, 3);
    FixedParameters parameters{weight, bias};
    const GlobalResponseNorm op{.eps = 1e-6, .weight = 0, .bias = 1};

    std::vector<double> norms(static_cast<size_t>(shape[0] * channels)), means(static_cast<size_t>(shape[0]));
    for (int64_t i = 0; i < shape[0] * channels; ++i) {
      const Moments m = moments(x, i / channels, i % channels, i % channels + 1);
      norms[i] = std::sqrt((m.variance + m.mean * m.mean) * static_cast<double>(pixels));
      means[i / channels] += norms[i] / static_cast<double>(channels);
    }
    std::vector<double> expected(x.data.size());
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const double share = norms[n * channels + c] / (means[n] + 1e-6);
      expected[i] = x.data[i] + weight.data[c] * x.data[i] * share + bias.data[c];
    });
    CHECK(difference(run_kernel(*make_kernel(op, channels, parameters), {&x, 1}, shape), expected) < tolerance);
  }
}

TEST_CASE("layer norm and RMS norm normalise each head by the same weights") {
  const int64_t heads = 3, channels = 14;
  const FloatTensor x = random_tensor({2, 5, heads * channels}, 1, 3), weight = random_tensor({channels}, 2),
                    bias = random_tensor({channels}, 3);
  FixedParameters parameters{weight, bias};
  const FloatTensor rows{{10 * heads, channels}, x.data};
  std::vector<double> layer(x.data.size()), unbiased(x.data.size()), rms(x.data.size()), simple(x.data.size());
  for_each_value(rows, [&](int64_t i, int64_t row, int64_t c) {
    const Moments m = moments(rows, row, 0, channels);
    layer[i] = (x.data[i] - m.mean) / std::sqrt(m.variance + 1e-5) * weight.data[c] + bias.data[c];
    unbiased[i] = layer[i] - bias.data[c];
    rms[i] = x.data[i] / std::sqrt(m.variance + m.mean * m.mean + 1e-5) * weight.data[c];
    simple[i] = x.data[i] / std::sqrt(m.variance * channels / (channels - 1) + 1e-5) * weight.data[c];
  });
  const auto layer_norm = make_kernel(LayerNorm{.eps = 1e-5, .weight = 0, .bias = 1}, x.shape[2], parameters);
  const auto rms_norm = make_kernel(RmsNorm{.eps = 1e-5, .weight = 0}, x.shape[2], parameters);
  CHECK(difference(run_kernel(*layer_norm, {&x, 1}, x.shape), layer) < tolerance);
  const auto unbiased_norm = make_kernel(LayerNorm{.eps = 1e-5, .weight = 0, .bias = no_id}, x.shape[2], parameters);
  CHECK(difference(run_kernel(*unbiased_norm, {&x, 1}, x.shape), unbiased) < tolerance);
  CHECK(difference(run_kernel(*rms_norm, {&x, 1}, x.shape), rms) < tolerance);
  const auto simple_norm = make_kernel(RmsNorm{.eps = 1e-5, .weight = 0, .variance = true}, x.shape[2], parameters);
  CHECK(difference(run_kernel(*simple_norm, {&x, 1}, x.shape), simple) < tolerance);
}

TEST_CASE("filter response norm divides by the root mean square of each channel and keeps what is above tau") {
  for (const auto& [dims, groups, mean] : cases) {
    const Shape& shape = dims;
    CAPTURE(to_string(shape));
    const FloatTensor x = random_tensor(shape, 1, mean), weight = random_tensor({shape[3]}, 2);
    const FloatTensor bias = random_tensor({shape[3]}, 3), tau = random_tensor({shape[3]}, 4);
    FixedParameters parameters{weight, bias, tau};
    const FilterResponseNorm op{.eps = 1e-5, .weight = 0, .bias = 1, .tau = 2};

    std::vector<double> expected(x.data.size());
    for_each_value(x, [&](int64_t i, int64_t n, int64_t c) {
      const Moments m = moments(x, n, c, c + 1);
      const double normed = x.data[i] / std::sqrt(m.variance + m.mean * m.mean + 1e-5);
      expected[i] = std::max<double>(normed * weight.data[c] + bias.data[c], tau.data[c]);
    });
    CHECK(difference(run_kernel(*make_kernel(op, shape[3], parameters), {&x, 1}, shape), expected) < tolerance);
  }
}

TEST_CASE("layer norm normalises the last dimension") {
  for (const Shape& shape : {Shape{2, 3, 3, 24}, Shape{1, 5, 37}, Shape{3, 3}, Shape{1, 1, 1, 2048}}) {
    CAPTURE(to_string(shape));
    const int64_t channels = shape.back();
    const FloatTensor x = random_tensor(shape, 1, 3), weight = random_tensor({channels}, 2),
                      bias = random_tensor({channels}, 3);
    FixedParameters parameters{weight, bias};
    const auto kernel = make_kernel(LayerNorm{.eps = 1e-6, .weight = 0, .bias = 1}, channels, parameters);

    const FloatTensor rows{{element_count(shape) / channels, channels}, x.data};
    std::vector<double> expected(x.data.size());
    for_each_value(rows, [&](int64_t i, int64_t row, int64_t c) {
      const Moments m = moments(rows, row, 0, channels);
      expected[i] = (x.data[i] - m.mean) / std::sqrt(m.variance + 1e-6) * weight.data[c] + bias.data[c];
    });
    CHECK(difference(run_kernel(*kernel, {&x, 1}, shape), expected) < tolerance);
  }
}

}  // namespace
}  // namespace wimm::testing
