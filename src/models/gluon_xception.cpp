// Aligned Xception-65 as GluonCV has it (gluon_xception.py of timm 0.3.4). Papers: arXiv 1610.02357, 1802.02611.
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
using Channels = std::array<int64_t, 3>;

NodeId relu(const Scope& scope, const std::string& name, NodeId x) { return scope.activate(name, x, Activation::relu); }

NodeId separable_conv(const Scope& scope, NodeId x, int64_t channels, int64_t stride = 1) {
  const int64_t in = scope.channels(x);
  x = scope.conv2d("conv_dw", x,
                   {.out_channels = in, .kernel = 3, .stride = stride, .groups = in, .padding = nn::padding(1)});
  return scope.conv2d("conv_pw", scope.batch_norm("bn", x), {.out_channels = channels});
}

// `x` enters the skip connection, and `activated` the three separable convolutions.
NodeId block(const Scope& scope, NodeId x, NodeId activated, const Channels& channels, int64_t stride) {
  NodeId shortcut = x;
  if (channels[2] != scope.channels(x) || stride > 1) {
    const Scope skip = scope["skip"];
    shortcut = skip.batch_norm("bn1", skip.conv2d("conv1", x, {.out_channels = channels[2], .stride = stride}));
  }
  const Scope rep = scope["rep"];
  x = activated;
  for (int i = 0; i < 3; ++i) {
    const std::string number = std::to_string(i + 1);
    if (i > 0) x = relu(rep, "act" + number, x);
    x = separable_conv(rep["conv" + number], x, channels[i], i == 2 ? stride : 1);
    x = rep.batch_norm("bn" + number, x);
  }
  return scope.add(x, shortcut);
}

Network build_variant(std::string_view, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const auto norm_act = [&](const std::string& index, NodeId x) {
    return relu(root, "act" + index, root.batch_norm("bn" + index, x));
  };
  const auto first_relu = [](const Scope& scope, NodeId x) { return relu(scope["rep"], "act1", x); };
  constexpr Channels middle{728, 728, 728};
  const Padding same = nn::padding(1);

  network.input = root.input(options.in_chans);
  NodeId x = root.conv2d("conv1", network.input, {.out_channels = 32, .kernel = 3, .stride = 2, .padding = same});
  x = root.conv2d("conv2", norm_act("1", x), {.out_channels = 64, .kernel = 3, .padding = same});
  x = norm_act("2", x);
  network.add_level(x, 2, "act2");
  x = relu(root, "block1_act", block(root["block1"], x, x, {128, 128, 128}, 2));
  network.add_level(x, 4, "block1_act");
  x = block(root["block2"], x, x, {256, 256, 256}, 2);
  NodeId activated = first_relu(root["block3"], x);
  network.add_level(activated, 8, "block3.rep.act1");
  x = block(root["block3"], x, activated, middle, 2);
  for (int i = 4; i < 20; ++i) {
    const Scope scope = root["mid"]["block" + std::to_string(i)];
    x = block(scope, x, first_relu(scope, x), middle, 1);
  }
  activated = first_relu(root["block20"], x);
  network.add_level(activated, 16, "block20.rep.act1");
  x = relu(root, "block20_act", block(root["block20"], x, activated, {728, 1024, 1024}, 2));
  x = norm_act("3", separable_conv(root["conv3"], x, 1536));
  x = norm_act("4", separable_conv(root["conv4"], x, 1536));
  x = norm_act("5", separable_conv(root["conv5"], x, 2048));
  network.add_level(x, 32, "act5");

  nn::linear_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr std::string_view variants[] = {"gluon_xception65"};

}  // namespace

extern constinit const Family gluon_xception_family{"gluon_xception", names_of(variants), build_variant};

}  // namespace wimm
