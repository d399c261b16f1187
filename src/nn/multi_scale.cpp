// Res2Net's convolutions, as timm/models/res2net.py.
#include "nn/multi_scale.h"

#include <string>
#include <utility>
#include <vector>

namespace wimm::nn {

NodeId multi_scale(const Scope& scope, NodeId x, const MultiScaleOptions& options) {
  const auto [scale, stride, groups, chained] = options;
  const int64_t width = scope.channels(x) / scale;
  std::vector<Conv2d> convs;  // timm declares them before their norms
  for (int64_t i = 0; i + 1 < scale; ++i) {
    const ConvOptions conv{
        .out_channels = width, .kernel = 3, .stride = stride, .groups = groups, .padding = padding(1)};
    convs.push_back(scope["convs"].declare_conv2d(std::to_string(i), width, conv));
  }
  std::vector<NodeId> parts;
  for (int64_t i = 0; i + 1 < scale; ++i) {
    NodeId part = scope.slice(x, i * width, width);
    if (chained && i > 0) part = scope.add(parts.back(), part);
    part = scope["convs"][i].node(std::move(convs[static_cast<size_t>(i)]), {part}, width);
    parts.push_back(scope.activate("relu", scope["bns"].batch_norm(std::to_string(i), part), Activation::relu));
  }
  NodeId last = scope.slice(x, (scale - 1) * width, width);
  if (!chained) {
    last = scope.avg_pool("pool", last, {.kernel = {3, 3}, .stride = {stride, stride}, .padding = padding(1)});
  }
  parts.push_back(last);
  return scope.concat(std::move(parts));
}

}  // namespace wimm::nn
