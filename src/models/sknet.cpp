// ResNets of selective kernels (timm/models/sknet.py). Paper: arXiv 1903.06586.
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/resnet_builder.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/conv_norm_act.h"

namespace wimm {
namespace {

using nn::Scope;
using resnet::basic, resnet::bottleneck, resnet::Block, resnet::Builder, resnet::Place, resnet::Spec;

// How the attention over kernels reduces its channels: by a ratio, to a multiple of the divisor.
struct Reduction {
  double ratio;
  int64_t divisor;
};

struct Variant {
  std::string_view name;
  Spec spec;
  Reduction reduction{1.0 / 16, 8};
  bool split_input = true;  // each kernel sees half of the channels
};

constexpr nn::NormAct linear{.activation = Activation::identity};

// Two 3×3 convolutions, the second dilated as a 5×5 one, mixed channel by channel by a softmax over the two.
NodeId selective_kernel(const Scope& scope, NodeId x, int64_t channels, int64_t groups, const Place& place,
                        const Variant& variant) {
  const int64_t half = scope.channels(x) / 2;
  const auto path = [&](int64_t index) {
    const int64_t dilation = index + 1;
    const NodeId input = variant.split_input ? scope.slice(x, index * half, half) : x;
    return nn::conv_norm_act(scope["paths"], std::to_string(index), input,
                             {.out_channels = channels,
                              .kernel = 3,
                              .stride = place.stride,
                              .dilation = dilation,
                              .groups = groups,
                              .padding = nn::padding(dilation)});
  };
  const auto pool = [&](NodeId value) { return scope.global_pool("pool", value, PoolKind::avg, true); };
  const NodeId small = path(0), large = path(1);

  const Scope attn = scope["attn"];
  const auto [ratio, divisor] = variant.reduction;
  const int64_t reduced = nn::make_divisible(static_cast<double>(channels) * ratio, divisor);
  NodeId logits = attn.conv2d("fc_reduce", attn.add(pool(small), pool(large)), {.out_channels = reduced});
  logits = attn.activate("act", attn.batch_norm("bn", logits), Activation::relu);
  logits = attn.conv2d("fc_select", logits, {.out_channels = 2 * channels});
  return scope.node(MixSplits{.radix = 2, .groups = 1}, {scope.concat({small, large}), logits}, channels);
}

NodeId block(const Builder& net, const Place& place, const Variant& variant, NodeId input) {
  const Scope& scope = place.scope;
  NodeId x = input;
  if (place.kind == Block::basic) {
    x = selective_kernel(scope["conv1"], x, place.planes, 1, place, variant);
    x = nn::conv_norm_act(scope, "conv2", x, {.out_channels = place.planes, .kernel = 3, .padding = nn::padding(1)},
                          linear);
  } else {
    x = nn::conv_norm_act(scope, "conv1", x, {.out_channels = place.middle});
    x = selective_kernel(scope["conv2"], x, place.middle, net.spec.cardinality, place, variant);
    x = nn::conv_norm_act(scope, "conv3", x, {.out_channels = 4 * place.planes}, linear);
  }
  return net.add_shortcut(place, "act", x, input);
}

constexpr Variant variants[] = {
    {"skresnet18", basic(2, 2, 2, 2), {1.0 / 8, 16}},
    {"skresnet34", basic(3, 4, 6, 3), {1.0 / 8, 16}},
    {"skresnet50", bottleneck(3, 4, 6, 3)},
    {"skresnet50d", bottleneck(3, 4, 6, 3).d()},
    {"skresnext50_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4), {1.0 / 16, 32}, false},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return resnet::build(variant.spec, options, [&](const Builder& net, const Place& place, NodeId input) {
    return block(net, place, variant, input);
  });
}

}  // namespace

extern constinit const Family sknet_family{"sknet", names_of(variants), build_variant};

}  // namespace wimm
