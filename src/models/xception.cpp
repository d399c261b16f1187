// Xception as Keras has it (timm/models/xception.py). Paper: arXiv 1610.02357.
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

struct Block {
  int64_t channels;
  int64_t convs = 3, stride = 1;
  bool grow_first = true;     // else the last convolution alone changes the number of channels
  int64_t feature_level = 0;  // reduction of the level of feature_info that its activated input is
};

constexpr Block blocks[] = {
    {.channels = 128, .convs = 2, .stride = 2},
    {.channels = 256, .convs = 2, .stride = 2, .feature_level = 4},
    {.channels = 728, .convs = 2, .stride = 2, .feature_level = 8},
    {728},
    {728},
    {728},
    {728},
    {728},
    {728},
    {728},
    {728},
    {.channels = 1024, .convs = 2, .stride = 2, .grow_first = false, .feature_level = 16},
};

NodeId separable_conv(const Scope& scope, NodeId x, int64_t channels) {
  const int64_t in = scope.channels(x);
  x = scope.conv2d("conv1", x, {.out_channels = in, .kernel = 3, .groups = in, .padding = nn::padding(1)});
  return scope.conv2d("pointwise", x, {.out_channels = channels});
}

NodeId skip(const Scope& scope, const Block& block, NodeId x) {
  if (block.channels == scope.channels(x) && block.stride == 1) return x;
  return scope.batch_norm("skipbn", scope.conv2d("skip", x, {.out_channels = block.channels, .stride = block.stride}));
}

// `x` enters the skip connection, and `activated` the convolutions, whose modules are numbered from `index`.
NodeId block(const Scope& scope, const Block& block, NodeId x, NodeId activated, int64_t index) {
  const Scope rep = scope["rep"];
  const int64_t in = scope.channels(x);
  const NodeId shortcut = skip(scope, block, x);
  x = activated;
  for (int64_t i = 0; i < block.convs; ++i) {
    if (i > 0) x = rep.activate(std::to_string(index++), x, Activation::relu);
    const bool grown = block.grow_first || i == block.convs - 1;
    x = separable_conv(rep[index++], x, grown ? block.channels : in);
    x = rep.batch_norm(std::to_string(index++), x);
  }
  if (block.stride > 1) {
    x = rep.max_pool(std::to_string(index), x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
  }
  return scope.add(x, shortcut);
}

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const auto norm_act = [&](const std::string& index, NodeId x) {
    return root.activate("act" + index, root.batch_norm("bn" + index, x), Activation::relu);
  };

  network.input = root.input(options.in_chans);
  NodeId x = norm_act("1", root.conv2d("conv1", network.input, {.out_channels = 32, .kernel = 3, .stride = 2}));
  x = norm_act("2", root.conv2d("conv2", x, {.out_channels = 64, .kernel = 3}));
  network.add_level(x, 2, "act2");
  x = block(root["block1"], blocks[0], x, x, 0);
  for (size_t i = 1; i < std::size(blocks); ++i) {
    const Scope scope = root["block" + std::to_string(i + 1)], rep = scope["rep"];
    const NodeId activated = rep.activate("0", x, Activation::relu);
    if (blocks[i].feature_level > 0) network.add_level(activated, blocks[i].feature_level, rep["0"].path());
    x = block(scope, blocks[i], x, activated, 1);
  }
  x = norm_act("3", separable_conv(root["conv3"], x, 1536));
  x = norm_act("4", separable_conv(root["conv4"], x, 2048));
  network.add_level(x, 32, "act4");

  nn::linear_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"legacy_xception"};

}  // namespace

extern constinit const Family xception_family{"xception", names_of(variants), build_variant};

}  // namespace wimm
