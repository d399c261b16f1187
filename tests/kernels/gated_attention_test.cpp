// Gated attention, LSTMs and patches against loops in double precision.
#include <doctest/doctest.h>

#include <cmath>

#include "graph/shapes.h"
#include "kernels/kernel_tester.h"
#include "wimm/error.h"

namespace wimm::testing {
namespace {

// Our exp has a relative error of 2e-7; the sums are in float32.
constexpr double tolerance = 3e-6;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> softmax(std::vector<double> logits) {
  double sum = 0;
  for (double& logit : logits) sum += logit = std::exp(logit);
  for (double& logit : logits) logit /= sum;
  return logits;
}

TEST_CASE("attention is mixed with a softmax of offsets in the grid, by a gate of each head") {
  for (const auto& test : {std::array<int64_t, 4>{1, 1, 1, 1}, {2, 3, 2, 5}, {1, 5, 3, 8}}) {
    const int64_t images = test[0], side = test[1], heads = test[2], depth = test[3];
    CAPTURE(side);
    const int64_t tokens = side * side, channels = heads * depth;
    const FloatTensor inputs[] = {random_tensor({images, tokens, 2 * channels}, 1),
                                  random_tensor({images, tokens, channels}, 2)},
                      weight = random_tensor({heads, 3}, 3), gate = random_tensor({heads}, 4);
    const double scale = 0.25;
    std::vector<double> expected;
    for (int64_t i = 0; i < images * tokens * channels; ++i) {
      const int64_t head = i % channels / depth, query = i / channels % tokens, first = i / channels / tokens * tokens;
      std::vector<double> products(tokens), places(tokens);
      for (int64_t key = 0; key < tokens; ++key) {
        for (int64_t d = head * depth; d < (head + 1) * depth; ++d)
          products[key] += scale * inputs[0].data[(first + query) * 2 * channels + d] *
                           inputs[0].data[(first + key) * 2 * channels + channels + d];
        const auto dx = static_cast<double>(key % side - query % side),
                   dy = static_cast<double>(key / side - query / side);
        const float* w = &weight.data[3 * head];
        places[key] = w[0] * dx + w[1] * dy + w[2] * (dx * dx + dy * dy);
      }
      const std::vector<double> alike = softmax(products), near = softmax(places);
      const double g = sigmoid(gate.data[head]);
      double sum = 0;
      for (int64_t key = 0; key < tokens; ++key)
        sum += ((1 - g) * alike[key] + g * near[key]) * inputs[1].data[(first + key) * channels + i % channels];
      expected.push_back(sum);
    }
    FixedParameters parameters{weight, gate};
    const auto kernel =
        make_kernel(GatedAttention{.heads = heads, .side = side, .scale = scale, .weight = 0, .gate = 1}, parameters);
    CHECK(difference(run_kernel(*kernel, inputs, inputs[1].shape), expected) < tolerance);
  }
}

TEST_CASE("an LSTM runs along rows or columns, from both ends") {
  const int64_t images = 2, height = 3, width = 5, channels = 7, hidden = 6, gates = 4 * hidden;
  const FloatTensor x = random_tensor({images, height, width, channels}, 1);
  const FloatTensor weights[] = {random_tensor({gates, channels}, 2), random_tensor({gates, hidden}, 3),
                                 random_tensor({gates}, 4),           random_tensor({gates}, 5),
                                 random_tensor({gates, channels}, 6), random_tensor({gates, hidden}, 7),
                                 random_tensor({gates}, 8),           random_tensor({gates}, 9)};
  for (const bool vertical : {false, true}) {
    CAPTURE(vertical);
    std::vector<double> expected(images * height * width * 2 * hidden);
    const int64_t length = vertical ? height : width;
    for (int64_t way = 0; way < 2; ++way)
      for (int64_t line = 0; line < images * height * width / length; ++line) {
        std::vector<double> h(hidden), c(hidden);
        for (int64_t i = 0; i < length; ++i) {
          const int64_t at = way == 0 ? i : length - 1 - i;
          const int64_t pixel = vertical ? (line / width * height + at) * width + line % width : line * width + at;
          std::vector<double> sums(gates);
          for (int64_t gate = 0; gate < gates; ++gate) {
            const auto weight = [&](int64_t kind, int64_t index) { return weights[4 * way + kind].data[index]; };
            sums[gate] = double{weight(2, gate)} + weight(3, gate);
            for (int64_t k = 0; k < channels; ++k)
              sums[gate] += double{weight(0, gate * channels + k)} * x.data[pixel * channels + k];
            for (int64_t k = 0; k < hidden; ++k) sums[gate] += weight(1, gate * hidden + k) * h[k];
          }
          for (int64_t k = 0; k < hidden; ++k) {
            c[k] = sigmoid(sums[hidden + k]) * c[k] + sigmoid(sums[k]) * std::tanh(sums[2 * hidden + k]);
            h[k] = sigmoid(sums[3 * hidden + k]) * std::tanh(c[k]);
            expected[(pixel * 2 + way) * hidden + k] = h[k];
          }
        }
      }
    FixedParameters parameters{weights[0], weights[1], weights[2], weights[3],
                               weights[4], weights[5], weights[6], weights[7]};
    const auto kernel = make_kernel(Lstm{hidden, vertical, {0, 1, 2, 3}, {4, 5, 6, 7}}, channels, parameters);
    CHECK(difference(run_kernel(*kernel, {&x, 1}, {images, height, width, 2 * hidden}), expected) < tolerance);
  }
}

TEST_CASE("patches of an image are images of their own, and their tokens are joined again") {
  const FloatTensor x = random_tensor({2, 4, 9, 5}, 1);
  std::vector<double> expected;
  for (int64_t i = 0; i < 12 * 2 * 3 * 5; ++i) {
    const int64_t channel = i % 5, column = i / 5 % 3, row = i / 15 % 2, patch = i / 30 % 6, image = i / 180;
    expected.push_back(x.data[((image * 4 + patch / 3 * 2 + row) * 9 + patch % 3 * 3 + column) * 5 + channel]);
  }
  const auto infer = [](Op op, std::vector<Shape> inputs) {
    return infer_shape(Node{std::move(op), {}, "layer", 30}, inputs);
  };
  const Shape patches = infer(Patches{{2, 3}}, {x.shape});
  CHECK(difference(run_kernel(*make_kernel(Patches{{2, 3}}), {&x, 1}, patches), expected) == 0);
  CHECK_THROWS_AS(infer(Patches{{3, 3}}, {x.shape}), Error);
  CHECK(infer(JoinPatches{}, {{12, 6, 5}, x.shape}) == Shape{2, 6, 30});
  CHECK_THROWS_AS(infer(GatedAttention{.heads = 1, .side = 3, .scale = 1, .weight = 0, .gate = 1}, {{1, 8, 60}}),
                  Error);
}

}  // namespace
}  // namespace wimm::testing
