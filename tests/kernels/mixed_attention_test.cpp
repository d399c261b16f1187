// Talking heads, attention between channels, outlook attention, and images resized, cut and given positions: loops in
// double precision.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

// As tests of attention have it.
constexpr double tolerance = 3e-6;

std::vector<double> softmax(std::vector<double> logits) {
  double sum = 0;
  for (double& logit : logits) sum += logit = std::exp(logit);
  for (double& logit : logits) logit /= sum;
  return logits;
}

size_t at(int64_t i) { return static_cast<size_t>(i); }

TEST_CASE("talking heads mix their scores, and the weights that the softmax makes of them") {
  const int64_t images = 2, tokens = 11, heads = 3, depth = 5, channels = heads * depth;
  const FloatTensor qkv = random_tensor({images, tokens, 3 * channels}, 1);
  const FloatTensor l = random_tensor({heads, heads}, 2), l_bias = random_tensor({heads}, 3),
                    w = random_tensor({heads, heads}, 4), w_bias = random_tensor({heads}, 5);
  const auto value = [&](int64_t n, int64_t token, int64_t part, int64_t head, int64_t d) {
    return double{qkv.data[at(((n * tokens + token) * 3 + part) * channels + head * depth + d)]};
  };
  std::vector<double> expected;
  for (int64_t n = 0; n < images; ++n)
    for (int64_t q = 0; q < tokens; ++q) {
      std::vector<std::vector<double>> weights;
      for (int64_t head = 0; head < heads; ++head) {
        std::vector<double> scores(at(tokens), l_bias.data[at(head)]);
        for (int64_t from = 0; from < heads; ++from)
          for (int64_t k = 0; k < tokens; ++k)
            for (int64_t d = 0; d < depth; ++d)
              scores[at(k)] +=
                  l.data[at(head * heads + from)] * 0.3 * value(n, q, 0, from, d) * value(n, k, 1, from, d);
        weights.push_back(softmax(scores));
      }
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t d = 0; d < depth; ++d) {
          double sum = 0;
          for (int64_t k = 0; k < tokens; ++k) {
            double weight = w_bias.data[at(head)];
            for (int64_t from = 0; from < heads; ++from)
              weight += w.data[at(head * heads + from)] * weights[at(from)][at(k)];
            sum += weight * value(n, k, 2, head, d);
          }
          expected.push_back(sum);
        }
    }
  FixedParameters parameters{l, l_bias, w, w_bias};
  const TalkingHeads op{.heads = heads,
                        .scale = 0.3,
                        .q = {0, depth, depth},
                        .k = {channels, depth, depth},
                        .v = {2 * channels, depth, depth},
                        .before_weight = 0,
                        .before_bias = 1,
                        .after_weight = 2,
                        .after_bias = 3};
  const FloatTensor inputs[] = {qkv, qkv, qkv};
  CHECK(difference(run_kernel(*make_kernel(op, parameters), inputs, {images, tokens, channels}), expected) < tolerance);
}

TEST_CASE("channels of a head attend to each other, in the order that is told") {
  const int64_t images = 2, tokens = 15, heads = 2;
  for (const int64_t depth : {8, 7}) {
    CAPTURE(depth);
    const int64_t channels = heads * depth;
    const FloatTensor x = random_tensor({images, 3, 5, 3 * channels}, 1);
    for (const ChannelAttention& op : {ChannelAttention{.heads = heads, .order = {1, 2, 0}, .scale = 0.2},
                                       ChannelAttention{.heads = heads, .order = {0, 1, 2}}}) {
      const auto value = [&](int64_t n, int64_t token, int part, int64_t head, int64_t d) {
        return double{
            x.data[at((n * tokens + token) * 3 * channels + op.order[at(part)] * channels + head * depth + d)]};
      };
      std::vector<double> expected(at(images * tokens * channels));
      for (int64_t n = 0; n < images; ++n)
        for (int64_t head = 0; head < heads; ++head)
          for (int64_t i = 0; i < depth; ++i) {
            std::vector<double> scores(at(depth));
            for (int64_t j = 0; j < depth; ++j)
              for (int64_t t = 0; t < tokens; ++t)
                scores[at(j)] += value(n, t, 0, head, i) * value(n, t, 1, head, j) *
                                 op.scale.value_or(1 / std::sqrt(static_cast<double>(tokens)));
            const std::vector<double> weights = softmax(scores);
            for (int64_t t = 0; t < tokens; ++t)
              for (int64_t j = 0; j < depth; ++j)
                expected[at((n * tokens + t) * channels + head * depth + i)] +=
                    weights[at(j)] * value(n, t, 2, head, j);
          }
      CHECK(difference(run_kernel(*make_kernel(op), {&x, 1}, {images, 3, 5, channels}), expected) < tolerance);
    }
  }
}

TEST_CASE("outlook attention sums what every second pixel's 3 × 3 values become") {
  const int64_t images = 2, height = 5, width = 4, heads = 2, depth = 3, channels = heads * depth;
  const FloatTensor inputs[] = {random_tensor({images, height, width, channels}, 1),
                                random_tensor({images, 3, 2, heads * 81}, 2)};
  const auto inside = [&](int64_t y, int64_t x) { return y >= 0 && x >= 0 && y < height && x < width; };
  std::vector<double> expected(inputs[0].data.size());
  for (int64_t i = 0; i < images * 3 * 2 * heads * 9; ++i) {
    const int64_t to = i % 9, head = i / 9 % heads, x = i / 9 / heads % 2, y = i / 9 / heads / 2 % 3,
                  n = i / 54 / heads;
    const float* logits = &inputs[1].data[at((((n * 3 + y) * 2 + x) * heads + head) * 81 + to * 9)];
    std::vector<double> scores;
    for (int64_t from = 0; from < 9; ++from) scores.push_back(0.4 * logits[from]);
    const std::vector<double> weights = softmax(scores);
    const int64_t row = 2 * y - 1 + to / 3, column = 2 * x - 1 + to % 3;
    if (!inside(row, column)) continue;
    for (int64_t from = 0; from < 9; ++from) {
      const int64_t y_from = 2 * y - 1 + from / 3, x_from = 2 * x - 1 + from % 3;
      if (!inside(y_from, x_from)) continue;
      for (int64_t d = 0; d < depth; ++d)
        expected[at(((n * height + row) * width + column) * channels + head * depth + d)] +=
            weights[at(from)] *
            inputs[0].data[at(((n * height + y_from) * width + x_from) * channels + head * depth + d)];
    }
  }
  const auto kernel = make_kernel(OutlookAttention{.heads = heads, .scale = 0.4});
  CHECK(difference(run_kernel(*kernel, inputs, inputs[0].shape), expected) < tolerance);
}

TEST_CASE("images are padded to a multiple, and cut to another's size") {
  const FloatTensor x = random_tensor({2, 3, 5, 2}, 1), small = random_tensor({2, 2, 4, 7}, 2);
  const auto padded = run_kernel(*make_kernel(Pad{.multiple_of = {4, 4}}), {&x, 1}, {2, 4, 8, 2});
  const FloatTensor inputs[] = {x, small};
  const auto cut = run_kernel(*make_kernel(Crop{}), inputs, {2, 2, 4, 2});
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t column = 0; column < 8; ++column)
        for (int64_t c = 0; c < 2; ++c) {
          const bool inside = y < 3 && column < 5;
          const float value = inside ? x.data[at(((n * 3 + y) * 5 + column) * 2 + c)] : 0;
          CHECK(padded.data[at(((n * 4 + y) * 8 + column) * 2 + c)] == value);
          if (y < 2 && column < 4) CHECK(cut.data[at(((n * 2 + y) * 4 + column) * 2 + c)] == value);
        }
}

TEST_CASE("a grid of positions is added to each image, and a window's again and again") {
  const int64_t channels = 3;
  const FloatTensor x = random_tensor({2, 4, 6, channels}, 1), grid = random_tensor({1, channels, 4, 6}, 2),
                    window = random_tensor({1, channels, 2, 3}, 3);
  FixedParameters parameters{grid, window};
  const AddGrid op{.positions = 0, .grid = {4, 6}, .channels_first = true, .window = 1, .window_size = {2, 3}};
  std::vector<double> expected;
  for (int64_t i = 0; i < 2 * 24 * channels; ++i) {
    const int64_t c = i % channels, column = i / channels % 6, y = i / channels / 6 % 4;
    expected.push_back(double{x.data[at(i)]} + grid.data[at((c * 4 + y) * 6 + column)] +
                       window.data[at((c * 2 + y % 2) * 3 + column % 3)]);
  }
  CHECK(difference(run_kernel(*make_kernel(op, channels, parameters), {&x, 1}, x.shape), expected) < tolerance);
}

TEST_CASE("positions of a grid may lie block by block") {
  const int64_t channels = 3;
  const FloatTensor x = random_tensor({2, 4, 6, channels}, 1), grid = random_tensor({1, 4, 6, channels}, 2);
  FixedParameters parameters{grid};
  const AddGrid op{.positions = 0, .grid = {4, 6}, .block = {2, 3}};
  std::vector<double> expected;
  for (int64_t i = 0; i < 2 * 24 * channels; ++i) {
    const int64_t c = i % channels, column = i / channels % 6, row = i / channels / 6 % 4;
    const int64_t block = row / 2 * 2 + column / 3, pixel = row % 2 * 3 + column % 3;
    expected.push_back(double{x.data[at(i)]} + grid.data[at((block * 6 + pixel) * channels + c)]);
  }
  CHECK(difference(run_kernel(*make_kernel(op, channels, parameters), {&x, 1}, x.shape), expected) < tolerance);
}

TEST_CASE("patches become channels, of a square's rows first or of its columns") {
  const FloatTensor x = random_tensor({2, 4, 6, 3}, 1);
  for (const bool columns_first : {false, true}) {
    const auto y =
        run_kernel(*make_kernel(SpaceToDepth{.factor = 2, .columns_first = columns_first}), {&x, 1}, {2, 2, 3, 12});
    for (int64_t i = 0; i < 2 * 2 * 3 * 12; ++i) {
      const int64_t c = i % 3, part = i / 3 % 4, column = i / 12 % 3, row = i / 36 % 2, n = i / 72;
      const int64_t dy = columns_first ? part % 2 : part / 2, dx = columns_first ? part / 2 : part % 2;
      CHECK(y.data[at(i)] == x.data[at(((n * 4 + 2 * row + dy) * 6 + 2 * column + dx) * 3 + c)]);
    }
  }
}

}  // namespace
}  // namespace wimm::testing
