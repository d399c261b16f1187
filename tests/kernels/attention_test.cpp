// Attention, pooling by attention and mixtures of experts against loops in double precision.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/kernel_tester.h"

namespace wimm::testing {
namespace {

// Our exp has a relative error of 2e-7; the sums are in float32.
constexpr double tolerance = 3e-6;

std::vector<double> softmax(std::vector<double> logits) {
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  for (double& logit : logits) logit = std::exp(logit) / sum;
  return logits;
}

struct AttentionCase {
  int64_t images, queries, keys, heads, kv_heads, depth;
};

TEST_CASE("attention mixes values by the softmax of scaled products, each kv head shared by its query heads") {
  const AttentionCase cases[] = {
      {1, 16, 16, 4, 4, 8}, {2, 7, 11, 4, 1, 6}, {1, 1, 1, 1, 1, 3}, {1, 36, 9, 8, 2, 48}, {1, 144, 144, 2, 1, 64}};
  for (const AttentionCase& test : cases) {
    const int64_t images = test.images, queries = test.queries, keys = test.keys, heads = test.heads,
                  kv_heads = test.kv_heads, depth = test.depth;
    CAPTURE(queries);
    CAPTURE(keys);
    const FloatTensor inputs[] = {random_tensor({images, queries, heads * depth}, 1),
                                  random_tensor({images, keys, kv_heads * depth}, 2),
                                  random_tensor({images, keys, kv_heads * depth}, 3)};
    const double scale = 1 / std::sqrt(static_cast<double>(depth));
    const auto at = [&](const FloatTensor& x, int64_t n, int64_t token, int64_t c) {
      return static_cast<double>(x.data[static_cast<size_t>((n * x.shape[1] + token) * x.shape[2] + c)]);
    };

    std::vector<double> expected;
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t i = 0; i < queries * heads; ++i) {
        const int64_t query = i / heads, head = i % heads, kv_head = head / (heads / kv_heads);
        std::vector<double> logits;
        for (int64_t k = 0; k < keys; ++k) {
          double product = 0;
          for (int64_t d = 0; d < depth; ++d)
            product += at(inputs[0], n, query, head * depth + d) * at(inputs[1], n, k, kv_head * depth + d);
          logits.push_back(product * scale);
        }
        const std::vector<double> weights = softmax(logits);
        for (int64_t d = 0; d < depth; ++d) {
          double mixed = 0;
          for (int64_t k = 0; k < keys; ++k)
            mixed += weights[static_cast<size_t>(k)] * at(inputs[2], n, k, kv_head * depth + d);
          expected.push_back(mixed);
        }
      }
    }
    const Attention::Heads all{0, depth, depth};
    FixedParameters none{};
    const auto kernel = make_kernel(
        Attention{.heads = heads, .kv_heads = kv_heads, .scale = scale, .q = all, .k = all, .v = all}, none);
    CHECK(difference(run_kernel(*kernel, inputs, inputs[0].shape), expected) < tolerance);

    // The same from one value, where it can hold all: [q, k, v] of each token.
    if (queries != keys) continue;
    const int64_t channels = heads * depth, kv_channels = kv_heads * depth, row = channels + 2 * kv_channels;
    FloatTensor packed{{images, queries, row}, {}};
    for (int64_t token = 0; token < images * queries; ++token)
      for (const FloatTensor& input : inputs) {
        const auto first = input.data.begin() + token * input.shape[2];
        packed.data.insert(packed.data.end(), first, first + input.shape[2]);
      }
    const FloatTensor same[] = {packed, packed, packed};
    const auto packed_kernel = make_kernel(Attention{.heads = heads,
                                                     .kv_heads = kv_heads,
                                                     .scale = scale,
                                                     .q = {0, depth, depth},
                                                     .k = {channels, depth, depth},
                                                     .v = {channels + kv_channels, depth, depth}},
                                           none);
    CHECK(difference(run_kernel(*packed_kernel, same, inputs[0].shape), expected) < tolerance);
  }
}

TEST_CASE("attention takes the heads that it is told, values of another depth than keys") {
  // Two of the four heads of q and k, each with a value twice as deep: half of a differential attention.
  const int64_t tokens = 9, depth = 5;
  const FloatTensor qkv = random_tensor({1, tokens, 12 * depth}, 4);
  const FloatTensor inputs[] = {qkv, qkv, qkv};
  const auto at = [&](int64_t token, int64_t c) {
    return static_cast<double>(qkv.data[static_cast<size_t>(token * 12 * depth + c)]);
  };
  std::vector<double> expected;
  for (int64_t i = 0; i < tokens; ++i)
    for (int64_t head = 0; head < 2; ++head) {
      const int64_t from = (2 * head + 1) * depth;
      std::vector<double> logits;
      for (int64_t k = 0; k < tokens; ++k) {
        double product = 0;
        for (int64_t d = 0; d < depth; ++d) product += at(i, from + d) * at(k, 4 * depth + from + d);
        logits.push_back(product * 0.3);
      }
      const std::vector<double> weights = softmax(logits);
      for (int64_t d = 0; d < 2 * depth; ++d) {
        double mixed = 0;
        for (int64_t k = 0; k < tokens; ++k)
          mixed += weights[static_cast<size_t>(k)] * at(k, (8 + 2 * head) * depth + d);
        expected.push_back(mixed);
      }
    }
  FixedParameters none{};
  const auto kernel = make_kernel(Attention{.heads = 2,
                                            .kv_heads = 2,
                                            .scale = 0.3,
                                            .q = {depth, 2 * depth, depth},
                                            .k = {5 * depth, 2 * depth, depth},
                                            .v = {8 * depth, 2 * depth, 2 * depth}},
                                  none);
  CHECK(difference(run_kernel(*kernel, inputs, {1, tokens, 4 * depth}), expected) < tolerance);
}

TEST_CASE("channels attend to channels by their cross-covariance over the tokens") {
  for (const auto& test : {std::array<int64_t, 4>{1, 1, 1, 4}, {2, 7, 3, 12}, {1, 50, 2, 32}, {1, 9, 4, 48}}) {
    const int64_t images = test[0], tokens = test[1], heads = test[2], depth = test[3];
    CAPTURE(depth);
    const int64_t channels = heads * depth, row = 3 * channels;
    const FloatTensor x = random_tensor({images, tokens, row}, 1), temperature = random_tensor({heads, 1, 1}, 2, 3);
    const auto at = [&](int64_t n, int64_t token, int64_t part, int64_t c) {
      return double{x.data[(n * tokens + token) * row + part * channels + c]};
    };
    std::vector<double> expected(static_cast<size_t>(images * tokens * channels));
    for (int64_t n = 0; n < images; ++n)
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t first = c / depth * depth;
        const auto product = [&](int64_t p, int64_t a, int64_t q, int64_t b) {
          double sum = 0;
          for (int64_t t = 0; t < tokens; ++t) sum += at(n, t, p, a) * at(n, t, q, b);
          return sum;
        };
        std::vector<double> logits;
        for (int64_t k = first; k < first + depth; ++k)
          logits.push_back(product(0, c, 1, k) / std::sqrt(product(0, c, 0, c) * product(1, k, 1, k)) *
                           temperature.data[c / depth]);
        const std::vector<double> weights = softmax(logits);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t k = 0; k < depth; ++k)
            expected[(n * tokens + t) * channels + c] += weights[k] * at(n, t, 2, first + k);
      }
    FixedParameters parameters{temperature};
    const auto kernel = make_kernel(CrossCovariance{heads, 0}, parameters);
    CHECK(difference(run_kernel(*kernel, {&x, 1}, {images, tokens, channels}), expected) < tolerance);
  }
}

TEST_CASE("a differential mix subtracts the second attention, scaled by its lambda") {
  const FloatTensor inputs[] = {random_tensor({2, 3, 7}, 1), random_tensor({2, 3, 7}, 2)};
  const FloatTensor lambdas[] = {random_tensor({4}, 3), random_tensor({4}, 4), random_tensor({4}, 5),
                                 random_tensor({4}, 6)};
  const auto product = [&](size_t a, size_t b) {
    double sum = 0;
    for (size_t i = 0; i < 4; ++i) sum += double{lambdas[a].data[i]} * lambdas[b].data[i];
    return sum;
  };
  const double lambda = std::exp(product(0, 1)) - std::exp(product(2, 3)) + 0.35;
  std::vector<double> expected;
  for (size_t i = 0; i < inputs[0].data.size(); ++i) expected.push_back(inputs[0].data[i] - lambda * inputs[1].data[i]);
  FixedParameters parameters{lambdas[0], lambdas[1], lambdas[2], lambdas[3]};
  const auto kernel = make_kernel(DifferentialMix{.q1 = 0, .k1 = 1, .q2 = 2, .k2 = 3, .lambda_init = 0.35}, parameters);
  CHECK(difference(run_kernel(*kernel, inputs, inputs[0].shape), expected) < tolerance);
}

TEST_CASE("attention pooling averages pixels by the softmax of their logits") {
  for (const Shape& shape : {Shape{2, 5, 7, 12}, Shape{1, 1, 1, 6}, Shape{1, 12, 12, 100}}) {
    CAPTURE(to_string(shape));
    const FloatTensor inputs[] = {random_tensor(shape, 1), random_tensor({shape[0], shape[1], shape[2], 1}, 2)};
    const int64_t pixels = shape[1] * shape[2], channels = shape[3];
    std::vector<double> expected;
    for (int64_t n = 0; n < shape[0]; ++n) {
      const auto first = inputs[1].data.begin() + n * pixels;
      const std::vector<double> weights = softmax({first, first + pixels});
      for (int64_t c = 0; c < channels; ++c) {
        double mean = 0;
        for (int64_t p = 0; p < pixels; ++p)
          mean +=
              weights[static_cast<size_t>(p)] * inputs[0].data[static_cast<size_t>((n * pixels + p) * channels + c)];
        expected.push_back(mean);
      }
    }
    CHECK(difference(run_kernel(*make_kernel(AttentionPool{}), inputs, {shape[0], 1, 1, channels}), expected) <
          tolerance);
  }
}

TEST_CASE("a mixture of experts sums their results by the weights of each image") {
  const int64_t images = 2, pixels = 15, experts = 4;
  for (const int64_t channels : {8, 10, 3}) {
    CAPTURE(channels);
    const FloatTensor inputs[] = {random_tensor({images, 3, 5, experts * channels}, 1),
                                  random_tensor({images, experts}, 2)};
    std::vector<double> expected;
    for (int64_t i = 0; i < images * pixels * channels; ++i) {
      const int64_t pixel = i / channels, image = pixel / pixels, c = i % channels;
      double sum = 0;
      for (int64_t e = 0; e < experts; ++e) {
        sum += static_cast<double>(inputs[1].data[static_cast<size_t>(image * experts + e)]) *
               inputs[0].data[static_cast<size_t>((pixel * experts + e) * channels + c)];
      }
      expected.push_back(sum);
    }
    const auto kernel = make_kernel(MixExperts{.experts = experts});
    CHECK(difference(run_kernel(*kernel, inputs, {images, 3, 5, channels}), expected) < tolerance);
  }
}

TEST_CASE("splits are mixed channel by channel, by the softmax over the radix of their logits") {
  struct SplitCase {
    int64_t images, radix, groups, channels;
  };
  for (const SplitCase& test :
       {SplitCase{2, 2, 1, 8}, SplitCase{1, 4, 2, 10}, SplitCase{3, 2, 3, 9}, SplitCase{1, 1, 1, 5}}) {
    const int64_t images = test.images, radix = test.radix, groups = test.groups, channels = test.channels;
    CAPTURE(radix);
    CAPTURE(channels);
    const int64_t pixels = 15, width = channels / groups;
    const FloatTensor inputs[] = {random_tensor({images, 3, 5, radix * channels}, 1),
                                  random_tensor({images, 1, 1, radix * channels}, 2, 40)};
    std::vector<double> expected;
    for (int64_t i = 0; i < images * pixels * channels; ++i) {
      const int64_t pixel = i / channels, image = pixel / pixels, c = i % channels;
      std::vector<double> logits;
      for (int64_t r = 0; r < radix; ++r)
        logits.push_back(
            inputs[1].data[static_cast<size_t>(((image * groups + c / width) * radix + r) * width + c % width)]);
      const std::vector<double> weights = softmax(logits);
      double sum = 0;
      for (int64_t r = 0; r < radix; ++r)
        sum +=
            weights[static_cast<size_t>(r)] * inputs[0].data[static_cast<size_t>((pixel * radix + r) * channels + c)];
      expected.push_back(sum);
    }
    const Strides strides{{radix * channels, radix * channels}, channels};
    const auto kernel = make_kernel(MixSplits{.radix = radix, .groups = groups}, strides);
    CHECK(difference(run_kernel(*kernel, inputs, {images, 3, 5, channels}), expected) < tolerance);
  }
}

}  // namespace
}  // namespace wimm::testing
