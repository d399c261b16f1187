// SENet and SE-ResNet as Cadene ported them from Caffe (timm/models/senet.py). Paper: arXiv 1709.01507.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

// basic: two 3×3 convolutions; resnet, resnext and senet: bottlenecks, which differ in their widths and in where they
// stride.
enum class Block : uint8_t { basic, resnet, resnext, senet };

struct Spec {
  Block block;
  std::array<int64_t, 4> layers;
};

struct Builder {
  const Spec& spec;
  Scope root;

  static NodeId conv_bn(const Scope& scope, const std::string& index, NodeId x, const nn::ConvOptions& options) {
    return scope.batch_norm("bn" + index, scope.conv2d("conv" + index, x, options));
  }

  static NodeId conv_bn_relu(const Scope& scope, const std::string& index, NodeId x, const nn::ConvOptions& options) {
    return scope.activate("relu" + index, conv_bn(scope, index, x, options), Activation::relu);
  }

  static nn::ConvOptions conv1x1(int64_t channels, int64_t stride = 1) {
    return {.out_channels = channels, .stride = stride};
  }

  static nn::ConvOptions conv3x3(int64_t channels, int64_t stride = 1, int64_t groups = 1) {
    return {.out_channels = channels, .kernel = 3, .stride = stride, .groups = groups, .padding = nn::padding(1)};
  }

  NodeId stem(NodeId x) const {
    const Scope layer0 = root["layer0"];
    if (spec.block != Block::senet) {
      return conv_bn_relu(layer0, "1", x, {.out_channels = 64, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
    }
    x = conv_bn_relu(layer0, "1", x, conv3x3(64, 2));
    x = conv_bn_relu(layer0, "2", x, conv3x3(64));
    return conv_bn_relu(layer0, "3", x, conv3x3(128));
  }

  NodeId convolutions(const Scope& scope, NodeId x, int64_t planes, int64_t stride) const {
    switch (spec.block) {
      case Block::basic:
        x = conv_bn_relu(scope, "1", x, conv3x3(planes, stride));
        return conv_bn_relu(scope, "2", x, conv3x3(planes));
      case Block::resnet:
        x = conv_bn_relu(scope, "1", x, conv1x1(planes, stride));
        x = conv_bn_relu(scope, "2", x, conv3x3(planes));
        break;
      case Block::resnext:
        x = conv_bn_relu(scope, "1", x, conv1x1(planes * 2));
        x = conv_bn_relu(scope, "2", x, conv3x3(planes * 2, stride, 32));
        break;
      case Block::senet:
        x = conv_bn_relu(scope, "1", x, conv1x1(planes * 2));
        x = conv_bn_relu(scope, "2", x, conv3x3(planes * 4, stride, 64));
        break;
    }
    return conv_bn(scope, "3", x, conv1x1(planes * 4));
  }

  NodeId block(const Scope& scope, NodeId input, int64_t planes, int64_t stride) const {
    NodeId x = convolutions(scope, input, planes, stride);
    const int64_t channels = root.channels(x);
    x = nn::squeeze_excite(scope["se_module"], x, {.reduced_channels = channels / 16});
    if (stride > 1 || root.channels(input) != channels) {
      const Scope downsample = scope["downsample"];
      const bool wide = spec.block == Block::senet && stride > 1;
      input = downsample.conv2d("0", input, wide ? conv3x3(channels, stride) : conv1x1(channels, stride));
      input = downsample.batch_norm("1", input);
    }
    return scope.activate("relu", scope.add(x, input), Activation::relu);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  const Scope& root = builder.root;

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(network.input);
  network.add_level(x, 2, "layer0");
  x = root.max_pool("pool0", x, {.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true});
  for (size_t stage = 0; stage < spec.layers.size(); ++stage) {
    const std::string name = "layer" + std::to_string(stage + 1);
    for (int64_t i = 0; i < spec.layers[stage]; ++i) {
      x = builder.block(root[name][i], x, 64 << stage, stage > 0 && i == 0 ? 2 : 1);
    }
    network.add_level(x, 4 << stage, name);
  }

  nn::linear_classifier_head(network, root, "last_linear", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"legacy_senet154", {Block::senet, {3, 8, 36, 3}}},
    {"legacy_seresnet18", {Block::basic, {2, 2, 2, 2}}},
    {"legacy_seresnet34", {Block::basic, {3, 4, 6, 3}}},
    {"legacy_seresnet50", {Block::resnet, {3, 4, 6, 3}}},
    {"legacy_seresnet101", {Block::resnet, {3, 4, 23, 3}}},
    {"legacy_seresnet152", {Block::resnet, {3, 8, 36, 3}}},
    {"legacy_seresnext26_32x4d", {Block::resnext, {2, 2, 2, 2}}},
    {"legacy_seresnext50_32x4d", {Block::resnext, {3, 4, 6, 3}}},
    {"legacy_seresnext101_32x4d", {Block::resnext, {3, 4, 23, 3}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family senet_family{"senet", names_of(variants), build_variant};

}  // namespace wimm
