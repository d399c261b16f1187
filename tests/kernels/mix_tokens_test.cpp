// Linear layers along tokens, slices of tokens and mixed contexts against loops in double precision.
#include <doctest/doctest.h>

#include "graph/shapes.h"
#include "kernels/kernel_tester.h"
#include "wimm/error.h"

namespace wimm::testing {
namespace {

constexpr double tolerance = 1e-6;  // sums in float32

TEST_CASE("tokens are mixed by a linear layer, each channel by itself") {
  for (const auto& test : {std::array<int64_t, 4>{1, 1, 1, 1}, {2, 7, 5, 18}, {1, 16, 12, 32}, {3, 9, 10, 13}}) {
    const int64_t images = test[0], tokens = test[1], out = test[2], channels = test[3];
    CAPTURE(tokens);
    const FloatTensor x = random_tensor({images, tokens, channels}, 1), weight = random_tensor({out, tokens}, 2),
                      bias = random_tensor({out}, 3);
    std::vector<double> expected;
    for (int64_t n = 0; n < images; ++n)
      for (int64_t o = 0; o < out; ++o)
        for (int64_t c = 0; c < channels; ++c) {
          double sum = bias.data[o];
          for (int64_t l = 0; l < tokens; ++l)
            sum += double{weight.data[o * tokens + l]} * x.data[(n * tokens + l) * channels + c];
          expected.push_back(std::max(sum, 0.0));
        }
    FixedParameters parameters{weight, bias};
    const auto kernel = make_kernel(
        MixTokens{.tokens = tokens, .out_tokens = out, .weight = 0, .bias = 1, .activation = Activation::relu},
        parameters);
    CHECK(difference(run_kernel(*kernel, {&x, 1}, {images, out, channels}), expected) < tolerance);
  }
}

TEST_CASE("a slice of tokens is a run of each image's") {
  const FloatTensor x = random_tensor({2, 6, 5}, 1);
  std::vector<double> expected;
  for (int64_t n = 0; n < 2; ++n)
    expected.insert(expected.end(), x.data.begin() + n * 30 + 10, x.data.begin() + n * 30 + 25);
  CHECK(difference(run_kernel(*make_kernel(SliceTokens{2, 3}), {&x, 1}, {2, 3, 5}), expected) == 0);
}

TEST_CASE("contexts are summed, each pixel's by its gates, the last by those of the whole image") {
  const int64_t images = 2, pixels = 6, channels = 7, row = 11, begin = 3;
  const FloatTensor inputs[] = {random_tensor({images, 2, 3, row}, 1), random_tensor({images, 2, 3, channels}, 2),
                                random_tensor({images, 2, 3, channels}, 3), random_tensor({images, 1, 1, channels}, 4)};
  std::vector<double> expected;
  for (int64_t i = 0; i < images * pixels * channels; ++i) {
    const int64_t pixel = i / channels, image = pixel / pixels;
    const float* gates = &inputs[0].data[pixel * row + begin];
    expected.push_back(double{inputs[1].data[i]} * gates[0] + double{inputs[2].data[i]} * gates[1] +
                       double{inputs[3].data[image * channels + i % channels]} * gates[2]);
  }
  CHECK(difference(run_kernel(*make_kernel(MixLevels{begin}), inputs, inputs[1].shape), expected) < tolerance);
}

TEST_CASE("token counts that do not suit a layer are refused") {
  const auto infer = [](Op op) {
    const Shape tokens{1, 6, 8};
    return infer_shape(Node{std::move(op), {}, "layer", 8}, {&tokens, 1});
  };
  CHECK(infer(SliceTokens{2, 4}) == Shape{1, 4, 8});
  CHECK_THROWS_AS(infer(SliceTokens{2, 5}), Error);
  CHECK(infer(MixTokens{.tokens = 6, .out_tokens = 3, .weight = 0, .bias = 1}) == Shape{1, 3, 8});
  CHECK_THROWS_AS(infer(MixTokens{.tokens = 5, .out_tokens = 3, .weight = 0, .bias = 1}), Error);
}

}  // namespace
}  // namespace wimm::testing
