// VGG, plain and with batch norm (timm/models/vgg.py). Paper: arXiv 1409.1556.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 5> depths;  // convolutions in each stage
  bool norm = false;
};

constexpr std::array<int64_t, 5> stage_channels{64, 128, 256, 512, 512};

constexpr Variant variants[] = {
    {"vgg11", {1, 1, 2, 2, 2}}, {"vgg11_bn", {1, 1, 2, 2, 2}, true},  //
    {"vgg13", {2, 2, 2, 2, 2}}, {"vgg13_bn", {2, 2, 2, 2, 2}, true},  //
    {"vgg16", {2, 2, 3, 3, 3}}, {"vgg16_bn", {2, 2, 3, 3, 3}, true},  //
    {"vgg19", {2, 2, 4, 4, 4}}, {"vgg19_bn", {2, 2, 4, 4, 4}, true},
};

// The fully connected layers as convolutions, at every position that 7×7 features fit; smaller maps are stretched.
NodeId pre_logits(const Scope& scope, NodeId x) {
  x = scope["pool"].node(AdaptiveAvgPool{.size = {7, 7}, .only_smaller = true}, {x}, scope.channels(x));
  x = scope.activate("act1", scope.conv2d("fc1", x, {.out_channels = 4096, .kernel = 7, .bias = true}),
                     Activation::relu);
  return scope.activate("act2", scope.conv2d("fc2", x, {.out_channels = 4096, .bias = true}), Activation::relu);
}

Network build(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  Network network;
  const Scope root(network.graph), features = root["features"], head = root["head"];
  NodeId x = network.input = root.input(options.in_chans);

  int64_t index = 0;  // in timm's list of layers
  const auto next = [&] { return std::to_string(index++); };
  const auto add_level = [&](int64_t reduction) { network.add_level(x, reduction, features[index - 1].path()); };
  for (size_t stage = 0; stage < stage_channels.size(); ++stage) {
    for (int64_t i = 0; i < variant.depths[stage]; ++i) {
      x = features.conv2d(
          next(), x, {.out_channels = stage_channels[stage], .kernel = 3, .padding = nn::padding(1), .bias = true});
      if (variant.norm) x = features.batch_norm(next(), x);
      x = features.activate(next(), x, Activation::relu);
    }
    add_level(1 << stage);
    x = features.max_pool(next(), x, {.kernel = {2, 2}, .stride = {2, 2}});
  }
  add_level(32);

  network.features = x;
  network.num_features = root.channels(x);
  x = pre_logits(root["pre_logits"], x);
  x = nn::select_pool(head, x, options.global_pool.value_or("avg"), options.num_classes);
  nn::linear_classifier(network, head, "fc", x, options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family vgg_family{"vgg", names_of(variants), build};

}  // namespace wimm
