// Branches of the cells of NASNet and PNASNet, as timm/models/nasnet.py.
#include "models/nasnet_blocks.h"

namespace wimm::nasnet {
namespace {

using nn::Scope;

Padding window_padding(int64_t kernel, int64_t stride) {
  return stride > 1 ? nn::tf_same : nn::same_size_padding(kernel);
}

NodeId separable_conv(const Scope& scope, NodeId x, int64_t channels, int64_t kernel, int64_t stride) {
  x = scope.conv2d("depthwise_conv2d", x,
                   {.out_channels = scope.channels(x),
                    .kernel = kernel,
                    .stride = stride,
                    .groups = scope.channels(x),
                    .padding = window_padding(kernel, stride)});
  return scope.conv2d("pointwise_conv2d", x, {.out_channels = channels});
}

}  // namespace

Value activated(const Scope& scope, NodeId raw) { return {raw, scope.activate("act", raw, Activation::relu)}; }

NodeId conv_norm(const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  return scope.batch_norm("bn", scope.conv2d("conv", x, {.out_channels = channels, .stride = stride}), norm_eps);
}

NodeId separable_branch(const Scope& scope, NodeId x, int64_t channels, int64_t kernel, int64_t stride) {
  x = scope.batch_norm("bn_sep_1", separable_conv(scope["separable_1"], x, channels, kernel, stride), norm_eps);
  x = scope.activate("act_2", x, Activation::relu);
  return scope.batch_norm("bn_sep_2", separable_conv(scope["separable_2"], x, channels, kernel, 1), norm_eps);
}

NodeId factorized_reduction(const Scope& scope, NodeId x, int64_t channels) {
  const Scope path_1 = scope["path_1"], path_2 = scope["path_2"];
  const NodeId even = path_1.conv2d("conv", x, {.out_channels = channels / 2, .stride = 2});
  // One row and column fewer before, zeros after: every second pixel from the second one.
  const Padding shift{.top = -1, .left = -1, .bottom = 1, .right = 1};
  NodeId odd = path_2.avg_pool("avgpool", x, {.kernel = {1, 1}, .stride = {2, 2}, .padding = shift});
  odd = path_2.conv2d("conv", odd, {.out_channels = channels / 2});
  return scope.batch_norm("final_path_bn", scope.concat({even, odd}), norm_eps);
}

NodeId max_pool(const Scope& scope, std::string_view name, NodeId x, int64_t stride) {
  return scope.max_pool(name, x, {.kernel = {3, 3}, .stride = {stride, stride}, .padding = window_padding(3, stride)});
}

NodeId avg_pool(const Scope& scope, std::string_view name, NodeId x, int64_t stride) {
  return scope.avg_pool(
      name, x,
      {.kernel = {3, 3}, .stride = {stride, stride}, .padding = window_padding(3, stride), .count_include_pad = false});
}

}  // namespace wimm::nasnet
