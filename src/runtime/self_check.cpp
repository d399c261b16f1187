// Small convolutions of small integers, which float32 holds exactly, against loops over integers.
#include "wimm/self_check.h"

#include <algorithm>

#include "nn/scope.h"
#include "runtime/session.h"

namespace wimm {
namespace {

constexpr int64_t side = 7, images = 2;  // odd, so that no kernel's tile divides it

int weight_at(size_t index, ParameterId id) { return static_cast<int>((index * 7 + static_cast<size_t>(id)) % 5) - 2; }
int pixel_at(size_t index) { return static_cast<int>(index * 5 % 9) - 4; }

class Weights final : public ParameterReader {
 public:
  explicit Weights(const Graph& graph) : graph_(graph) {}

  std::vector<float> read(ParameterId id) override {
    std::vector<float> values(static_cast<size_t>(element_count(graph_.parameters[id].shape)));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(weight_at(i, id));
    return values;
  }

 private:
  const Graph& graph_;
};

// [N, H, W, C] → [N, H, W, out_channels], of stride 1, padded to the same size.
std::vector<int> convolve(const std::vector<int>& x, int64_t channels, const Conv2d& conv) {
  const int64_t kernel = conv.kernel[0], pad = kernel / 2, group_in = channels / conv.groups;
  const int64_t group_out = conv.out_channels / conv.groups;
  std::vector<int> y;
  for (int64_t n = 0; n < images; ++n)
    for (int64_t row = 0; row < side; ++row)
      for (int64_t column = 0; column < side; ++column)
        for (int64_t out = 0; out < conv.out_channels; ++out) {
          int sum = 0;
          for (int64_t c = 0; c < group_in; ++c)
            for (int64_t i = 0; i < kernel; ++i)
              for (int64_t j = 0; j < kernel; ++j) {
                const int64_t from_row = row + i - pad, from_column = column + j - pad;
                if (from_row < 0 || from_row >= side || from_column < 0 || from_column >= side) continue;
                const int64_t pixel = (n * side + from_row) * side + from_column;
                sum += x[pixel * channels + out / group_out * group_in + c] *
                       weight_at(((out * group_in + c) * kernel + i) * kernel + j, conv.weight);
              }
          y.push_back(sum);
        }
  return y;
}

}  // namespace

bool self_check(int threads) {
  Graph graph;
  const nn::Scope scope(graph);
  const NodeId input = scope.input(3);
  NodeId output = scope.conv2d("conv", input, {.out_channels = 24, .kernel = 3, .padding = nn::padding(1)});
  output =
      scope.conv2d("depthwise", output, {.out_channels = 24, .kernel = 3, .groups = 24, .padding = nn::padding(1)});
  output = scope.conv2d("pointwise", output, {.out_channels = 20});

  std::vector<int> expected(images * side * side * 3);
  std::vector<float> pixels(expected.size());  // [N, C, H, W]
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<float>(pixel_at(i));
    const size_t plane = side * side, n = i / (3 * plane), c = i / plane % 3;
    expected[(n * plane + i % plane) * 3 + c] = pixel_at(i);
  }
  Weights weights(graph);
  Kernels kernels;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    kernels.push_back(make_kernel(graph, static_cast<NodeId>(i), weights));
    if (const auto* conv = std::get_if<Conv2d>(&node.op))
      expected = convolve(expected, graph.nodes[node.inputs[0]].channels, *conv);
  }
  Session session(graph, std::move(kernels), threads);
  const FloatTensor got = session.run(input, std::span(&output, 1), {{images, 3, side, side}, pixels})[0];
  const int64_t channels = got.shape[1], plane = side * side;
  for (int64_t i = 0; i < static_cast<int64_t>(expected.size()); ++i) {
    const int64_t n = i / (plane * channels), pixel = i / channels % plane, c = i % channels;
    if (got.data[(n * channels + c) * plane + pixel] != static_cast<float>(expected[i])) return false;
  }
  return true;
}

}  // namespace wimm
