// Small graphs through passes, plan and kernels, against the naive interpreter of the graph as it was built.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>

#include "graph/passes.h"
#include "graph/shapes.h"
#include "kernels/reference.h"
#include "nn/scope.h"
#include "runtime/parts.h"
#include "runtime/session.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::ConvOptions;
using nn::Scope;
using testing::Value;

class TestParameters final : public ParameterReader {
 public:
  explicit TestParameters(const Graph& graph) : graph_(graph) {}
  std::vector<float> read(ParameterId id) override { return testing::test_parameter(graph_.parameters[id], id); }

 private:
  const Graph& graph_;
};

Value noise(const Shape& shape) {
  Value value{shape, std::vector<double>(element_count(shape))};
  std::minstd_rand random(7);
  std::uniform_real_distribution<float> uniform(-2, 2);
  for (double& v : value.data) v = uniform(random);
  return value;
}

// One that a depthwise convolution would rather compute itself.
const Shape large_map{1, 1024, 1024, 64};

// The largest difference from the interpreter, relative to the largest value. `build` gets a scope and the input.
template <class Build>
double error_of(const Shape& input_shape, Build&& build, int threads = 1, bool fused = true, bool int8 = false) {
  Network network;
  const Scope scope(network.graph);
  network.input = scope.input(input_shape[1]);
  NodeId output = build(scope, network.input);
  const Graph built = network.graph;  // the passes rewrite it
  const NodeId built_output = output;
  const Value input = noise(input_shape);

  if (fused) fuse(network, std::span(&output, 1));
  std::vector<bool> needed = needed_nodes(network.graph, std::span(&output, 1));
  if (fused) {
    select_winograd(network.graph, infer_shapes(network.graph, needed, network.input, channels_last(input_shape)));
    if (int8) select_int8(network.graph, true);
    fuse_expansions(network.graph, std::span(&output, 1), std::vector<Shape>(network.graph.nodes.size(), large_map));
    needed = needed_nodes(network.graph, std::span(&output, 1));
    place_parts(network.graph, needed);
  }
  TestParameters parameters(network.graph);
  Kernels kernels(network.graph.nodes.size());
  for (size_t i = 0; i < kernels.size(); ++i)
    if (needed[i]) kernels[i] = make_kernel(network.graph, static_cast<NodeId>(i), parameters);
  Session session(network.graph, std::move(kernels), threads);
  const std::vector<float> data(input.data.begin(), input.data.end());
  const FloatTensor got = session.run(network.input, std::span(&output, 1), {input_shape, data})[0];

  const Value expected = testing::evaluate(built, built_output, input);
  REQUIRE(got.shape == expected.shape);
  double largest = 0, error = 0;
  for (size_t i = 0; i < got.data.size(); ++i) {
    largest = std::max(largest, std::abs(expected.data[i]));
    error = std::max(error, std::abs(expected.data[i] - got.data[i]));
  }
  return error / largest;
}

// Float32 sums of a few hundred products of order one.
constexpr double tolerance = 2e-6;

TEST_CASE("convolutions of every kind match a double-precision loop") {
  for (int64_t kernel : {1, 2, 3, 5, 7})
    for (int64_t stride : {1, 2, 3})
      for (int64_t dilation : {1, 2})
        for (int64_t groups : {1, 2, 6})
          for (bool same : {false, true}) {
            if (same && kernel > 1 && kernel < stride) continue;  // excluded in ops.h
            const Padding padding = same ? nn::tf_same : nn::padding(kernel / 2);
            INFO("kernel ", kernel, ", stride ", stride, ", dilation ", dilation, ", groups ", groups, ", same ", same);
            CHECK(error_of({2, 6, 15, 14}, [&](Scope s, NodeId x) {
                    return s.conv2d("conv", x,
                                    {.out_channels = 12,
                                     .kernel = kernel,
                                     .stride = stride,
                                     .dilation = dilation,
                                     .groups = groups,
                                     .padding = padding,
                                     .bias = groups == 1});
                  }) < tolerance);
          }
}

TEST_CASE("convolutions in integers err by the steps of 7 and 8 bits alone") {
  for (int64_t channels : {26, 28})
    for (int64_t kernel : {1, 2, 3, 5})
      for (int64_t stride : {1, 2, 3})
        for (int64_t dilation : {1, 2})
          for (bool same : {false, true})
            for (int threads : {1, 2}) {
              if (same && kernel > 1 && kernel < stride) continue;  // excluded in ops.h
              const Padding padding = same ? nn::tf_same : nn::padding(kernel / 2);
              INFO(channels, " channels, kernel ", kernel, ", stride ", stride, ", dilation ", dilation, ", same ",
                   same);
              const double error = error_of(
                  {2, channels, 15, 14},
                  [&](Scope s, NodeId x) {
                    const ConvOptions options{.out_channels = 34,
                                              .kernel = kernel,
                                              .stride = stride,
                                              .dilation = dilation,
                                              .padding = padding,
                                              .bias = true};
                    return s.activate("act", s.conv2d("conv", x, options), Activation::silu);
                  },
                  threads, true, true);
              CHECK(error < 0.02);
              CHECK(error > tolerance);  // it is in integers
            }
}

TEST_CASE("Winograd's algorithm stays within 1e-5 of the output's range, at every edge") {
  for (int64_t stride : {1, 2})
    for (int64_t height : {1, 4, 7, 14, 33})
      for (int64_t width : {3, 8, 30})
        for (int64_t pad : {0, 1, 2}) {
          if (height + 2 * pad < 3) continue;
          INFO("stride ", stride, ", height ", height, ", width ", width, ", padding ", pad);
          const auto build = [&](Scope s, NodeId x) {
            const ConvOptions options{
                .out_channels = 20, .kernel = 3, .stride = stride, .padding = nn::padding(pad), .bias = true};
            return s.activate("act", s.batch_norm("bn", s.conv2d("conv", x, options)), Activation::silu);
          };
          CHECK(error_of({2, 32, height, width}, build) < 1e-5);
          CHECK(error_of({2, 32, height, width}, build, 2) < 1e-5);
        }
}

TEST_CASE("Winograd's algorithm stays within 1e-5 of the output's range for every kernel and padding") {
  for (Size2d kernel : {Size2d{1, 7}, {7, 1}, {1, 3}, {3, 1}, {3, 3}, {5, 5}})
    for (int64_t stride : {1, 2})
      for (bool same : {false, true})
        for (Size2d size : {Size2d{17, 17}, {3, 14}, {9, 8}, {7, 1}}) {
          INFO("kernel ", kernel[0], "×", kernel[1], ", stride ", stride, ", same ", same, ", image ", size[0], "×",
               size[1]);
          const auto build = [&](Scope s, NodeId x) {
            const Padding padding{
                .top = kernel[0] / 2, .left = kernel[1] / 2, .bottom = kernel[0] / 2, .right = kernel[1] / 2};
            const ConvOptions options{.out_channels = 20,
                                      .kernel = {kernel[0], kernel[1]},
                                      .stride = stride,
                                      .padding = same ? nn::tf_same : padding,
                                      .bias = true};
            return s.activate("act", s.conv2d("conv", x, options), Activation::relu);
          };
          CHECK(error_of({2, 160, size[0], size[1]}, build) < 1e-5);
          CHECK(error_of({2, 16, size[0], size[1]}, build, 2) < 1e-5);
        }
}

TEST_CASE("Winograd's tiles are those that take the fewest products and weights") {
  const auto tile = [](int64_t channels, Shape shape, int64_t stride = 1) {
    Graph graph;
    const Scope scope(graph);
    const ConvOptions options{.out_channels = channels, .kernel = 3, .stride = stride, .padding = nn::padding(1)};
    scope.conv2d("conv", scope.input(channels), options);
    select_winograd(graph, std::vector<Shape>(graph.nodes.size(), shape));
    return std::get<Conv2d>(graph.nodes.back().op).winograd_tile;
  };
  CHECK(tile(64, {1, 56, 56, 64}) == 4);
  CHECK(tile(256, {1, 14, 14, 256}) == 3);
  CHECK(tile(256, {1, 16, 16, 256}) == 4);
  CHECK(tile(256, {1, 7, 7, 256}) == 2);
  CHECK(tile(512, {1, 28, 28, 512}) == 2);
  CHECK(tile(512, {}) == 2);
  CHECK(tile(256, {}) == 4);
  CHECK(tile(128, {1, 28, 28, 128}, 2) == 4);
  CHECK(tile(256, {1, 14, 14, 256}, 2) == 2);
  CHECK(tile(512, {1, 7, 7, 512}, 2) == 0);
}

TEST_CASE("Winograd's algorithm keeps that where there are so many weights that it takes smaller tiles") {
  for (int64_t size : {1, 5, 8}) {
    INFO("size ", size);
    const auto build = [](Scope s, NodeId x) {
      return s.conv2d("conv", x, {.out_channels = 280, .kernel = 3, .padding = nn::padding(1), .bias = true});
    };
    CHECK(error_of({2, 272, size, size + 1}, build) < 1e-5);
    CHECK(error_of({1, 272, size, size + 1}, build, 3) < 1e-5);
  }
}

TEST_CASE("matrix products of any number of rows and columns, of any depth, match a double-precision loop") {
  for (int64_t channels : {1, 7, 513, 1100})
    for (int64_t out_channels : {1, 8, 70})
      for (int64_t stride : {1, 2})
        for (int threads : {1, 3}) {
          INFO("channels ", channels, ", out ", out_channels, ", stride ", stride, ", threads ", threads);
          const ConvOptions options{.out_channels = out_channels, .stride = stride, .bias = true};
          const auto build = [&](Scope s, NodeId x) {
            return s.activate("act", s.conv2d("conv", x, options), Activation::hard_swish);
          };
          CHECK(error_of({1, channels, 1, 1}, build, threads) < tolerance);
          CHECK(error_of({2, channels, 17, 19}, build, threads) < tolerance);
        }
}

TEST_CASE("windows of any depth, with and without padding, match a double-precision loop") {
  for (int64_t channels : {50, 170, 200})
    for (Size2d kernel : {Size2d{3, 3}, {1, 7}, {7, 1}})
      for (bool padded : {false, true})
        for (int threads : {1, 3}) {
          INFO("channels ", channels, ", kernel ", kernel[0], "×", kernel[1], ", padded ", padded, ", threads ",
               threads);
          const Padding padding = padded ? nn::same_size_padding({kernel[0], kernel[1]}) : Padding{};
          const ConvOptions options{
              .out_channels = 20, .kernel = {kernel[0], kernel[1]}, .stride = 2, .padding = padding, .bias = true};
          CHECK(
              error_of(
                  {2, channels, 13, 18},
                  [&](Scope s, NodeId x) { return s.activate("act", s.conv2d("conv", x, options), Activation::silu); },
                  threads) < tolerance);
        }
}

TEST_CASE("depthwise convolutions match a double-precision loop") {
  const auto check = [](int64_t kernel, int64_t channels, int64_t stride, int64_t dilation, const Padding& padding) {
    INFO("kernel ", kernel, ", channels ", channels, ", stride ", stride, ", dilation ", dilation, ", same ",
         padding.same);
    CHECK(error_of({2, channels, 17, 13}, [&](Scope s, NodeId x) {
            return s.batch_norm("bn", s.conv2d("conv", x,
                                               {.out_channels = channels,
                                                .kernel = kernel,
                                                .stride = stride,
                                                .dilation = dilation,
                                                .groups = channels,
                                                .padding = padding}));
          }) < tolerance);
  };
  for (int64_t kernel : {3, 5, 7, 9, 11})
    for (int64_t channels : {1, 3, 8, 33})
      for (int64_t stride : {1, 2}) {
        check(kernel, channels, stride, 1, nn::same_size_padding(kernel, stride));
        check(kernel, channels, stride, 1, nn::tf_same);
      }
  check(7, 20, 1, 2, nn::same_size_padding(7, 1, 2));
}

TEST_CASE("a depthwise convolution computes the pointwise one before it, at every edge") {
  for (int64_t kernel : {3, 5, 2})
    for (int64_t stride : {1, 2, 3})
      for (bool same : {false, true})
        for (int64_t channels : {20, 24, 32})
          for (Activation activation : {Activation::relu6, Activation::silu}) {
            if (same && stride == 3 && kernel == 2) continue;  // which is refused
            INFO("kernel ", kernel, ", stride ", stride, ", same ", same, ", channels ", channels);
            const auto build = [&](Scope s, NodeId x) {
              x = s.conv2d("stem", x, {.out_channels = 7, .bias = true});
              x = s.conv2d("expand", s.activate("stem.act", x, Activation::tanh), {.out_channels = channels});
              x = s.activate("expand.act", s.batch_norm("expand.bn", x), activation);
              const ConvOptions options{.out_channels = channels,
                                        .kernel = kernel,
                                        .stride = stride,
                                        .groups = channels,
                                        .padding = same ? nn::tf_same : nn::padding(kernel / 2)};
              x = s.activate("act", s.batch_norm("bn", s.conv2d("depthwise", x, options)), activation);
              return s.conv2d("project", x, {.out_channels = 9});
            };
            CHECK(error_of({1, 3, 5, 7}, build) < 2 * tolerance);
            CHECK(error_of({2, 3, 70, 68}, build) < 2 * tolerance);  // bands of several strips
            CHECK(error_of({1, 3, 70, 68}, build, 3) < 2 * tolerance);
          }
  const auto wide = [&](Scope s, NodeId x) {
    x = s.conv2d("expand", x, {.out_channels = 8});
    return s.conv2d("depthwise", x,
                    {.out_channels = 8, .kernel = 3, .dilation = 2, .groups = 8, .padding = nn::padding(2)});
  };
  CHECK(error_of({1, 3, 6, 600}, wide, 2) < tolerance);
}

TEST_CASE("a large map that only a depthwise convolution reads is left to it") {
  const auto left = [](Shape map, auto&& change) {
    Network network;
    const Scope s(network.graph);
    const NodeId expanded = s.conv2d("expand", s.input(4), {.out_channels = 32});
    NodeId output = s.conv2d("depthwise", expanded, {.out_channels = 32, .kernel = 3, .groups = 32});
    change(s, expanded, output);
    fuse_expansions(network.graph, std::span(&output, 1), std::vector<Shape>(network.graph.nodes.size(), map));
    return !std::get<Conv2d>(network.graph.nodes[expanded + 1].op).expansion.empty();
  };
  const auto nothing = [](const Scope&, NodeId, NodeId&) {};
  CHECK(left(large_map, nothing));
  CHECK_FALSE(left({1, 28, 28, 64}, nothing));
  CHECK_FALSE(left(large_map, [](const Scope& s, NodeId expanded, NodeId& output) {
    output = s.concat({output, s.max_pool("pool", expanded, {{3, 3}, {1, 1}})});
  }));
  CHECK_FALSE(left(large_map, [](const Scope&, NodeId expanded, NodeId& output) { output = expanded; }));
}

TEST_CASE("standardised weights have mean 0 and variance 1 for each output, before normalisation is folded in") {
  const auto check = [](const ConvOptions& options, double bound) {
    INFO("kernel ", options.kernel.height, ", groups ", options.groups, ", same ", options.padding.same);
    CHECK(error_of({1, 32, 11, 12},
                   [&](Scope s, NodeId x) { return s.batch_norm("bn", s.conv2d("conv", x, options)); }) < bound);
  };
  const double eps = 0.5;  // large enough to be seen
  check({.out_channels = 24, .standardize = eps}, tolerance);
  check({.out_channels = 24, .kernel = 3, .stride = 2, .padding = nn::tf_same, .standardize = eps}, tolerance);
  check({.out_channels = 24, .kernel = 3, .groups = 4, .padding = nn::padding(1), .bias = true, .standardize = eps},
        tolerance);
  check({.out_channels = 24, .kernel = 3, .padding = nn::padding(1), .standardize = eps}, 1e-5);  // Winograd's
  check({.out_channels = 32, .kernel = 7, .groups = 32, .padding = nn::padding(3), .standardize = eps}, tolerance);
  check({.out_channels = 24, .kernel = 3, .groups = 2, .bias = true, .standardize = eps, .gain = 1.7}, tolerance);
}

TEST_CASE("branches that are summed are one convolution, whatever their kernels, groups and normalisations") {
  for (int64_t kernel : {3, 5})
    for (int64_t groups : {1, 4, 16})
      for (int64_t stride : {1, 2}) {
        INFO("kernel ", kernel, ", groups ", groups, ", stride ", stride);
        const auto build = [&](Scope s, NodeId x) {
          const auto branch = [&](std::string_view name, nn::Extent extent) {
            return s.batch_norm(std::string(name) + "_bn", s.conv2d(name, x,
                                                                    {.out_channels = 16,
                                                                     .kernel = extent,
                                                                     .stride = stride,
                                                                     .groups = groups,
                                                                     .padding = nn::same_size_padding(extent)}));
          };
          NodeId sum = s.add(branch("large", kernel), branch("small", 1));
          sum = s.add(branch("flat", {1, 3}), sum);
          if (stride == 1) sum = s.add(s.add(sum, s.batch_norm("identity", x)), x);
          return s.activate("act", s.batch_norm("bn", sum), Activation::relu);
        };
        CHECK(error_of({2, 16, 9, 7}, build) < 1e-5);  // Winograd's where it suits
        CHECK(error_of({2, 16, 9, 7}, build, 1, false) < tolerance);
      }
}

TEST_CASE("a sum of branches that others read too, or of other strides, stays a sum") {
  const ConvOptions same{.out_channels = 8, .kernel = 3, .padding = nn::padding(1)};
  CHECK(error_of({1, 8, 6, 6}, [&](Scope s, NodeId x) {
          const NodeId a = s.conv2d("a", x, same), b = s.conv2d("b", x, {.out_channels = 8});
          return s.mul(s.add(a, b), a);
        }) < tolerance);
  CHECK(error_of({1, 8, 6, 6}, [&](Scope s, NodeId x) {  // not in the middle of each other
          ConvOptions shifted = same;
          shifted.padding = {.top = 2, .left = 1, .bottom = 0, .right = 1};
          return s.add(s.conv2d("a", x, same), s.conv2d("b", x, shifted));
        }) < tolerance);
  CHECK(error_of({1, 8, 6, 6}, [&](Scope s, NodeId x) {
          return s.add(s.activate("act", s.conv2d("a", x, same), Activation::relu), x);
        }) < tolerance);
}

TEST_CASE("any number of input channels is convolved") {
  for (int64_t channels : {1, 2, 3, 4, 5, 8, 25})
    CHECK(error_of({1, channels, 20, 20}, [](Scope s, NodeId x) {
            return s.conv2d("conv", x, {.out_channels = 16, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
          }) < tolerance);
}

TEST_CASE("normalisation, activation and residual sum give the same fused and unfused") {
  for (auto activation :
       {Activation::relu, Activation::relu6, Activation::squared_relu, Activation::sigmoid, Activation::hard_sigmoid,
        Activation::silu, Activation::hard_swish, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
        Activation::tanh, Activation::mish, Activation::leaky_relu, Activation::leaky_relu_1e_3, Activation::identity})
    for (bool fused : {true, false}) {
      INFO("activation ", static_cast<int>(activation), ", fused ", fused);
      CHECK(error_of(
                {2, 5, 9, 7},
                [&](Scope s, NodeId x) {
                  const NodeId a = s.activate(
                      "act1",
                      s.batch_norm("bn1",
                                   s.conv2d("conv1", x, {.out_channels = 7, .kernel = 3, .padding = nn::padding(1)})),
                      activation);
                  const NodeId b = s.batch_norm("bn2", s.conv2d("conv2", a, {.out_channels = 7, .bias = true}));
                  return s.activate("act2", s.add(b, a), activation);
                },
                1, fused) < 4e-6);
    }
}

TEST_CASE("a normalisation without a convolution takes the activation that follows") {
  for (bool fused : {true, false})
    CHECK(error_of(
              {2, 5, 9, 7},
              [&](Scope s, NodeId x) {
                const NodeId a = s.activate("act1", s.batch_norm("bn1", x), Activation::relu);
                return s.concat({s.activate("act2", s.batch_norm("bn2", a), Activation::leaky_relu), a});
              },
              1, fused) < tolerance);
}

TEST_CASE("StarReLU squares, scales and shifts; a difference subtracts") {
  CHECK(error_of({2, 5, 9, 7}, [](Scope s, NodeId x) {
          const StarRelu op{.scale = s.parameter("scale", {1}, Init::ones),
                            .bias = s.parameter("bias", {1}, Init::zeros)};
          const NodeId y = s["star"].node(op, {s.batch_norm("bn", x)}, 5);
          return s.node(Binary{Binary::Kind::sub}, {y, x}, 5);
        }) < tolerance);
}

TEST_CASE("a value that is read again keeps its memory") {
  CHECK(error_of({1, 4, 8, 8}, [](Scope s, NodeId x) {
          const NodeId a = s.conv2d("a", x, {.out_channels = 4}), b = s.activate("b", a, Activation::relu);
          const NodeId c = s.activate("c", b, Activation::sigmoid), d = s.mul(s.add(a, b), c);
          return s.concat({s.slice(d, 1, 2), a, s.add(d, d), x});
        }) < tolerance);
}

// A graph of random operations on images of one size, many of them concatenations and slices.
NodeId build_random_graph(Scope scope, NodeId x, uint32_t seed) {
  std::minstd_rand random(seed);
  const auto below = [&](size_t count) { return static_cast<int64_t>(random() % count); };
  std::vector<NodeId> values{x};
  const auto any = [&] { return values[below(values.size())]; };
  const auto pool = [](int64_t pad) { return nn::padding(pad); };
  for (int64_t i = 0; i < 14; ++i) {
    const Scope s = scope[i];
    const NodeId a = any(), b = any();
    const int64_t channels = s.channels(a);
    const int64_t kind = below(11);
    if (kind < 2 && channels + s.channels(b) < 100) values.push_back(s.concat({a, b, any()}));
    if (kind == 2) values.push_back(s.concat({values.back(), a}));
    if (kind == 3 || kind == 4) {
      const int64_t begin = below(channels);
      values.push_back(s.slice(a, begin, 1 + below(channels - begin)));
    }
    if (kind == 5)
      values.push_back(s.conv2d("conv", a, {.out_channels = 16 * (1 + below(2)), .kernel = 3, .padding = pool(1)}));
    if (kind == 6) values.push_back(s.activate("act", s.conv2d("conv", a, {.out_channels = 7}), Activation::silu));
    if (kind == 7) values.push_back(s.activate("act", s.batch_norm("bn", a), Activation::relu));
    if (kind == 8) values.push_back(s.activate("act", a, Activation::sigmoid));
    if (kind == 9)
      values.push_back(below(2) ? s.max_pool("pool", a, {.kernel = {3, 3}, .stride = {1, 1}, .padding = pool(1)})
                                : s.avg_pool("pool", a, {.kernel = {3, 3}, .stride = {1, 1}, .padding = pool(1)}));
    if (kind == 10)
      values.push_back(channels == s.channels(b) ? s.add(a, b) : s.mul(a, s.global_pool("gap", a, PoolKind::max)));
  }
  const NodeId all = scope.concat({values.end() - std::min<ptrdiff_t>(4, std::ssize(values)), values.end()});
  const int64_t channels = scope.channels(all);
  return scope.conv2d("large", all,
                      {.out_channels = channels, .kernel = 7, .groups = channels, .padding = nn::padding(3)});
}

TEST_CASE("values that lie in others are what they would be alone") {
  for (uint32_t seed = 1; seed <= 400; ++seed)
    for (int threads : {1, 2}) {
      INFO("seed ", seed, ", threads ", threads);
      CHECK(error_of({2, 5, 6, 5}, [&](Scope s, NodeId x) { return build_random_graph(s, x, seed); }, threads) < 2e-5);
    }
}

TEST_CASE("what is concatenated is written in place") {
  Network network;
  const Scope s(network.graph);
  network.input = s.input(3);
  const NodeId a = s["a"].conv2d("conv", network.input, {.out_channels = 4});
  const NodeId inner = s.concat({a, s["b"].conv2d("conv", a, {.out_channels = 6})});
  const NodeId outer = s.concat({inner, s["c"].conv2d("conv", inner, {.out_channels = 8}), a});
  const NodeId piece = s.slice(outer, 2, 5);
  NodeId output = s["d"].conv2d("conv", piece, {.out_channels = 2});
  const std::vector<bool> needed = needed_nodes(network.graph, std::span(&output, 1));
  place_parts(network.graph, needed);
  CHECK(network.graph.place(a) == Part{outer, 0});
  CHECK(network.graph.place(inner) == Part{outer, 0});
  CHECK(network.graph.place(piece) == Part{outer, 2});
  CHECK(network.graph.pixel_stride(piece) == 22);
  TestParameters parameters(network.graph);
  CHECK_FALSE(make_kernel(network.graph, inner, parameters));
  CHECK_FALSE(make_kernel(network.graph, piece, parameters));
  CHECK(make_kernel(network.graph, outer, parameters));  // the second `a`
}

TEST_CASE("pooling matches PyTorch's rules") {
  for (int64_t kernel : {2, 3})
    for (int64_t stride : {1, 2, 3})
      for (int64_t pad : {0, 1})
        for (bool ceil : {false, true})
          for (bool count : {false, true}) {
            INFO("kernel ", kernel, ", stride ", stride, ", padding ", pad, ", ceil ", ceil, ", counted ", count);
            const Size2d k{kernel, kernel}, s2{stride, stride};
            CHECK(error_of({2, 6, 10, 11}, [&](Scope s, NodeId x) {
                    return s.max_pool("pool", x, {k, s2, nn::padding(pad), ceil});
                  }) < tolerance);
            CHECK(error_of({2, 6, 10, 11}, [&](Scope s, NodeId x) {
                    return s.avg_pool("pool", x, {k, s2, nn::padding(pad), ceil, count});
                  }) < tolerance);
          }
  const Size2d three{3, 3}, two{2, 2};
  CHECK(error_of({1, 4, 10, 11}, [&](Scope s, NodeId x) { return s.max_pool("pool", x, {three, two, nn::tf_same}); }) <
        tolerance);
  CHECK(error_of({1, 4, 10, 11}, [&](Scope s, NodeId x) { return s.avg_pool("pool", x, {three, two, nn::tf_same}); }) <
        tolerance);
}

TEST_CASE("a window may begin inside the image, and end beyond it") {
  const Padding shift{.top = -1, .left = -1, .bottom = 1, .right = 1};
  for (int64_t size : {6, 7})
    CHECK(error_of({2, 5, size, 9}, [&](Scope s, NodeId x) {
            return s.avg_pool("pool", x, {.kernel = {1, 1}, .stride = {2, 2}, .padding = shift});
          }) < tolerance);
}

TEST_CASE("upsampling repeats pixels") {
  for (int64_t factor : {2, 4})
    CHECK(error_of({2, 5, 3, 4}, [&](Scope s, NodeId x) { return s["up"].node(Upsample{factor}, {x}, 5); }) <
          tolerance);
}

TEST_CASE("images are interpolated to a multiple or to another's size as PyTorch does") {
  for (const auto mode :
       {Interpolate::Mode::nearest, Interpolate::Mode::bilinear, Interpolate::Mode::bilinear_aligned}) {
    CHECK(error_of({2, 6, 5, 8}, [&](Scope s, NodeId x) {
            return s["resize"].node(Interpolate{.mode = mode, .multiple_of = {3, 4}}, {x}, 6);
          }) < tolerance);
    CHECK(error_of({2, 6, 7, 9}, [&](Scope s, NodeId x) {
            const NodeId small = s.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
            return s["resize"].node(Interpolate{.mode = mode}, {small, x}, 6);
          }) < tolerance);
  }
}

TEST_CASE("patches are sequences of pixels at the same place, and an image again") {
  const Size2d patch{2, 3};
  CHECK(error_of({2, 6, 4, 9}, [&](Scope s, NodeId x) {
          const NodeId tokens = s["to"].node(ToPatches{patch}, {x}, 6);
          return s["from"].node(FromPatches{patch}, {s.activate("act", tokens, Activation::relu), x}, 6);
        }) < tolerance);
}

TEST_CASE("space becomes depth, in multiples of the factor alone") {
  for (int64_t factor : {2, 4}) {
    const auto build = [&](Scope s, NodeId x) { return s["s2d"].node(SpaceToDepth{factor}, {x}, 3 * factor * factor); };
    for (int threads : {1, 2}) CHECK(error_of({2, 3, 8, 12}, build, threads) < tolerance);
    CHECK_THROWS_WITH_AS(error_of({1, 3, 8, 13}, build), doctest::Contains("s2d gets 8 × 13"), Error);
    CHECK_THROWS_WITH_AS(error_of({1, 3, 9, 12}, build), doctest::Contains("s2d gets 9 × 12"), Error);
  }
}

TEST_CASE("images are stretched by adaptive pooling, all or those that are too small") {
  for (const Size2d size : {Size2d{1, 1}, Size2d{3, 5}, Size2d{4, 9}, Size2d{7, 7}, Size2d{8, 10}}) {
    INFO(size[0], " × ", size[1]);
    for (const bool only_smaller : {true, false})
      CHECK(error_of({2, 5, size[0], size[1]}, [&](Scope s, NodeId x) {
              const AdaptiveAvgPool pool{.size = {7, 7}, .only_smaller = only_smaller};
              return s["pool"].node(pool, {s.activate("act", x, Activation::relu)}, 5);
            }) < tolerance);
  }
}

TEST_CASE("every global pool and the classifier match") {
  for (auto kind : {PoolKind::avg, PoolKind::max, PoolKind::avgmax, PoolKind::catavgmax})
    for (int64_t channels : {3, 16, 37})
      CHECK(error_of({3, channels, 5, 6}, [&](Scope s, NodeId x) {
              return s.linear("fc", s.global_pool("pool", x, kind), 11);
            }) < tolerance);
}

TEST_CASE("a gate of [N, H, W, 1], from the mean and the largest of a pixel's channels, scales all of them") {
  for (const int64_t channels : {2, 3, 16, 37})
    for (const int threads : {1, 2})
      CHECK(error_of(
                {3, channels, 4, 5},
                [&](Scope s, NodeId x) {
                  const NodeId pooled = s["pool"].node(PoolChannels{}, {x}, 2);
                  return s.mul(x, s.conv2d("fc", pooled, {.out_channels = 1, .bias = true}));
                },
                threads) < tolerance);
}

TEST_CASE("a gate of [N, 1, 1, C] scales every pixel of its image") {
  CHECK(error_of({3, 10, 4, 5}, [](Scope s, NodeId x) {
          const NodeId gate =
              s.conv2d("fc", s.global_pool("pool", x, PoolKind::avg, true), {.out_channels = 10, .bias = true});
          return s.mul(x, s.activate("gate", gate, Activation::sigmoid));
        }) < tolerance);
}

TEST_CASE("padding by reflection and by zeros, flattening, channel convolution") {
  for (auto mode : {Pad::Mode::zeros, Pad::Mode::reflect})
    CHECK(error_of({2, 5, 6, 7}, [&](Scope s, NodeId x) {
            return s["pad"].node(Pad{{.top = 1, .left = 2, .bottom = 3, .right = 0}, mode}, {x}, 5);
          }) < tolerance);
  CHECK(error_of({2, 5, 3, 2}, [](Scope s, NodeId x) { return s["flat"].node(Flatten{}, {x}, 30); }) < tolerance);
  CHECK(error_of({2, 12, 3, 2}, [](Scope s, NodeId x) {
          const ParameterId weight = s["eca"].parameter("weight", {1, 1, 5}, Init::conv);
          return s["eca"].node(ChannelConv{5, weight}, {s.global_pool("pool", x, PoolKind::avg)}, 12);
        }) < tolerance);
}

TEST_CASE("a value that a view still shows is not overwritten") {
  CHECK(error_of({2, 6, 3, 4}, [](Scope s, NodeId x) {
          const NodeId pooled = s.global_pool("pool", x, PoolKind::avg, true);
          const NodeId view = s["flat"].node(Flatten{}, {pooled}, 6);
          const NodeId gate = s.activate("gate", pooled, Activation::sigmoid);
          return s.mul(view, s["flat"].node(Flatten{}, {gate}, 6));
        }) < tolerance);
}

TEST_CASE("threads change nothing [R26]") {
  const auto build = [](Scope s, NodeId x) {
    const NodeId a = s.activate(
        "act", s.batch_norm("bn", s.conv2d("conv", x, {.out_channels = 24, .kernel = 3, .padding = nn::padding(1)})),
        Activation::silu);
    return s.add(a, s.max_pool("pool", a, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1)}));
  };
  for (int threads : {2, 3}) CHECK(error_of({2, 3, 33, 31}, build, threads) < tolerance);
}

TEST_CASE("an input smaller than a kernel is refused, with the layer's name") {
  try {
    error_of({1, 3, 2, 2},
             [](Scope s, NodeId x) { return s["stem"].max_pool("pool", x, {.kernel = {3, 3}, .stride = {1, 1}}); });
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::input_shape);
    CHECK(std::string(error.what()).find("stem.pool") != std::string::npos);
    return;
  } catch (...) {
  }
  FAIL("not refused");
}

TEST_CASE("an input whose branches end in different sizes is refused, with the layer's name") {
  const auto build = [](Scope s, NodeId x) {
    return s["sum"].add(x, s["up"].node(Upsample{2}, {s["half"].avg_pool("pool", x, {{2, 2}, {2, 2}})}, 3));
  };
  CHECK(error_of({1, 3, 6, 4}, build) < tolerance);
  CHECK_THROWS_WITH_AS(error_of({1, 3, 6, 5}, build), doctest::Contains("sum"), Error);
}

}  // namespace
}  // namespace wimm
