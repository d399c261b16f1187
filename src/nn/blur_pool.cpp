// Anti-aliased downsampling, as timm/layers/blur_pool.py.
#include "nn/blur_pool.h"

#include <vector>

namespace wimm::nn {

NodeId blur_pool(const Scope& scope, NodeId x, Pad::Mode edges) {
  constexpr float binomial[3] = {0.25f, 0.5f, 0.25f};
  const int64_t channels = scope.channels(x);
  std::vector<float> filter;
  filter.reserve(static_cast<size_t>(channels) * 9);
  for (int64_t c = 0; c < channels; ++c) {
    for (const float row : binomial) {
      for (const float column : binomial) filter.push_back(row * column);
    }
  }
  const ParameterId weight = scope.constant("filt", {channels, 1, 3, 3}, std::move(filter));

  Conv2d conv{.out_channels = channels, .kernel = {3, 3}, .stride = {2, 2}, .groups = channels, .weight = weight};
  if (edges == Pad::Mode::zeros) {
    conv.padding = padding(1);
  } else {
    x = scope.node(Pad{.padding = padding(1), .mode = edges}, {x}, channels);
  }
  return scope.node(std::move(conv), {x}, channels);
}

}  // namespace wimm::nn
