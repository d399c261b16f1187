// The class ResNet of timm/models/resnet.py, without its blocks.
#include "models/resnet_builder.h"

#include <string>

#include "nn/blur_pool.h"
#include "nn/head.h"

namespace wimm::resnet {

using nn::Scope;

NodeId Builder::norm(const Scope& scope, std::string_view name, NodeId x) const {
  return spec.norm == Norm::group ? scope.group_norm(name, x, 32) : scope.batch_norm(name, x);
}

NodeId Builder::relu(const Scope& scope, std::string_view name, NodeId x) const {
  return scope.activate(name, x, Activation::relu);
}

NodeId Builder::conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride,
                        int64_t groups) const {
  return scope.conv2d(
      name, x, {.out_channels = channels, .kernel = 3, .stride = stride, .groups = groups, .padding = nn::padding(1)});
}

NodeId Builder::conv1x1(const Scope& scope, std::string_view name, NodeId x, int64_t channels) const {
  return scope.conv2d(name, x, {.out_channels = channels});
}

namespace {

NodeId shortcut(const Builder& net, const Scope& scope, NodeId x, int64_t channels, int64_t stride) {
  if (net.spec.avg_down) {
    if (stride > 1) {
      x = scope.avg_pool("0", x,
                         {.kernel = {2, 2}, .stride = {stride, stride}, .ceil_mode = true, .count_include_pad = false});
    }
    return net.norm(scope, "2", net.conv1x1(scope, "1", x, channels));
  }
  const int64_t kernel = stride == 1 ? 1 : net.spec.down_kernel;
  x = scope.conv2d(
      "0", x,
      {.out_channels = channels, .kernel = kernel, .stride = stride, .padding = nn::same_size_padding(kernel, stride)});
  return net.norm(scope, "1", x);
}

NodeId stem(const Builder& net, NodeId x) {
  const auto& [spec, root] = net;
  if (spec.stem == Stem::plain) {
    x = root.conv2d("conv1", x, {.out_channels = 64, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
  } else {
    const Scope conv1 = root["conv1"];
    const int64_t width = spec.stem_width;
    x = net.conv3x3(conv1, "0", x, spec.stem == Stem::tiered ? width / 4 * 3 : width, 2);
    x = net.relu(conv1, "2", net.norm(conv1, "1", x));
    x = net.conv3x3(conv1, "3", x, width);
    x = net.relu(conv1, "5", net.norm(conv1, "4", x));
    x = net.conv3x3(conv1, "6", x, width * 2);
  }
  return net.relu(root, "act1", net.norm(root, "bn1", x));
}

NodeId stem_pool(const Builder& net, NodeId x) {
  const auto& [spec, root] = net;
  const Scope maxpool = root["maxpool"];
  if (spec.conv_pool) {
    x = net.conv3x3(maxpool, "0", x, root.channels(x), 2);
    return net.relu(maxpool, "2", net.norm(maxpool, "1", x));
  }
  switch (spec.anti_alias) {
    case AntiAlias::average:
      return root.avg_pool("maxpool", x, {.kernel = {2, 2}, .stride = {2, 2}});
    case AntiAlias::blur:
      x = maxpool.max_pool("0", x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1)});
      return nn::blur_pool(maxpool["1"], x);
    case AntiAlias::none:
      break;
  }
  return root.max_pool("maxpool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
}

}  // namespace

NodeId Builder::add_shortcut(const Place& place, std::string_view act, NodeId result, NodeId input) const {
  const Scope& scope = place.scope;
  if (place.project) input = shortcut(*this, scope["downsample"], input, scope.channels(result), place.stride);
  return relu(scope, act, scope.add(result, input));
}

NodeId build_features(const Builder& net, NodeId x, const BuildBlock& block, std::vector<FeatureInfo>& levels) {
  const auto& [spec, root] = net;
  x = stem(net, x);
  levels.push_back({x, root.channels(x), 2, "act1"});
  x = stem_pool(net, x);

  size_t index = 0;
  for (size_t stage = 0; stage < spec.layers.size(); ++stage) {
    const std::string name = "layer" + std::to_string(stage + 1);
    const Block kind = spec.blocks[stage];
    const int64_t planes = spec.channels[stage], middle = planes * spec.base_width / 64 * spec.cardinality;
    const int64_t out = kind == Block::basic ? planes : 4 * planes;
    for (int64_t i = 0; i < spec.layers[stage]; ++i) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const bool project = i == 0 && (stride > 1 || root.channels(x) != out);
      x = block(net, {root[name][i], kind, index++, planes, middle, stride, project}, x);
    }
    levels.push_back({x, root.channels(x), 4 << stage, name});
  }
  return x;
}

Network build(const Spec& spec, const BuildOptions& options, const BuildBlock& block) {
  Network network;
  const Builder net{spec, Scope(network.graph)};
  const Scope& root = net.root;

  network.input = root.input(options.in_chans);
  NodeId x = build_features(net, network.input, block, network.feature_info);
  nn::linear_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

}  // namespace wimm::resnet
