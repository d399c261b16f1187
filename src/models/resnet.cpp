// ResNet and its kin: ResNeXt, SE-ResNet, ECA-ResNet, ResNet-D, -T, -S, -RS, anti-aliased ones (timm/models/resnet.py).
// Papers: ResNet arXiv 1512.03385, ResNeXt 1611.05431, SE 1709.01507, bag of tricks (C, D, S stems) 1812.01187,
// blur pooling 1904.11486, ECA 1910.03151, pruning 2002.08258, ResNet-RS 2103.07579.
#include "models/resnet.h"

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/resnet_pruned.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/blur_pool.h"
#include "nn/channels.h"

namespace wimm {
namespace {

using nn::Scope;
using resnet::AntiAlias, resnet::Attention, resnet::Block, resnet::Stem;
using resnet::basic, resnet::bottleneck, resnet::Builder, resnet::Place, resnet::Spec;

// Widths of one block's convolutions.
struct Widths {
  int64_t first, middle, out;
  int64_t eca_channels;  // those before pruning, which keeps the attention's kernel
};

Widths widths_of(const Spec& spec, const Place& place, std::span<const PrunedBlock> pruned) {
  const int64_t planes = place.planes, middle = place.middle, out = planes * 4;
  if (place.kind == Block::basic) {
    return {.first = planes / spec.reduce_first, .middle = planes, .out = planes, .eca_channels = planes};
  }
  if (pruned.empty()) return {.first = middle / spec.reduce_first, .middle = middle, .out = out, .eca_channels = out};
  const PrunedBlock& widths = pruned[place.index];
  return {.first = widths.conv1, .middle = widths.conv2, .out = widths.conv3, .eca_channels = out};
}

// A 3×3 convolution of stride 2, or one of stride 1 whose activation is then downsampled without aliasing.
NodeId strided_conv(const Builder& net, const Place& place, const std::string& index, NodeId x, int64_t channels,
                    int64_t groups) {
  const Scope& scope = place.scope;
  const bool anti_alias = place.stride > 1 && net.spec.anti_alias != AntiAlias::none;
  x = net.conv3x3(scope, "conv" + index, x, channels, anti_alias ? 1 : place.stride, groups);
  x = net.relu(scope, "act" + index, net.norm(scope, "bn" + index, x));
  if (!anti_alias) return x;
  if (net.spec.anti_alias == AntiAlias::blur) return nn::blur_pool(scope["aa"], x);
  return scope.avg_pool("aa", x, {.kernel = {2, 2}, .stride = {2, 2}});
}

NodeId attention(const Spec& spec, const Scope& scope, NodeId x, const Widths& widths) {
  switch (spec.attention) {
    case Attention::squeeze_excite: {
      const double reduced = static_cast<double>(widths.out) * spec.se_ratio;
      return nn::squeeze_excite(scope, x, {.reduced_channels = nn::make_divisible(reduced, 8, 0, 0)});
    }
    case Attention::eca:
      return nn::efficient_channel_attention(scope, x, nn::eca_kernel(widths.eca_channels));
    case Attention::none:
      break;
  }
  return x;
}

NodeId block(const Builder& net, const Place& place, const Widths& widths, NodeId input) {
  const Scope& scope = place.scope;
  const bool basic = place.kind == Block::basic;
  NodeId x = input;
  if (basic) {
    x = strided_conv(net, place, "1", x, widths.first, 1);
    x = net.norm(scope, "bn2", net.conv3x3(scope, "conv2", x, widths.out));
  } else {
    x = net.relu(scope, "act1", net.norm(scope, "bn1", net.conv1x1(scope, "conv1", x, widths.first)));
    x = strided_conv(net, place, "2", x, widths.middle, net.spec.cardinality);
    x = net.norm(scope, "bn3", net.conv1x1(scope, "conv3", x, widths.out));
  }
  x = attention(net.spec, scope["se"], x, widths);
  return net.add_shortcut(place, basic ? "act2" : "act3", x, input);
}

resnet::BuildBlock blocks(std::span<const PrunedBlock> pruned = {}) {
  return [pruned](const Builder& net, const Place& place, NodeId input) {
    return block(net, place, widths_of(net.spec, place, pruned), input);
  };
}

struct Variant {
  std::string_view name;
  Spec spec;
  std::span<const PrunedBlock> pruned{};  // widths block by block, where they do not follow from the spec
};

// clang-format off
constexpr Variant variants[] = {
    {"resnet10t", basic(1, 1, 1, 1).t()},
    {"resnet14t", bottleneck(1, 1, 1, 1).t()},
    {"resnet18", basic(2, 2, 2, 2)},
    {"resnet18d", basic(2, 2, 2, 2).d()},
    {"resnet34", basic(3, 4, 6, 3)},
    {"resnet34d", basic(3, 4, 6, 3).d()},
    {"resnet26", bottleneck(2, 2, 2, 2)},
    {"resnet26t", bottleneck(2, 2, 2, 2).t()},
    {"resnet26d", bottleneck(2, 2, 2, 2).d()},
    {"resnet50", bottleneck(3, 4, 6, 3)},
    {"resnet50c", bottleneck(3, 4, 6, 3).c()},
    {"resnet50d", bottleneck(3, 4, 6, 3).d()},
    {"resnet50s", bottleneck(3, 4, 6, 3).s()},
    {"resnet50t", bottleneck(3, 4, 6, 3).t()},
    {"resnet101", bottleneck(3, 4, 23, 3)},
    {"resnet101c", bottleneck(3, 4, 23, 3).c()},
    {"resnet101d", bottleneck(3, 4, 23, 3).d()},
    {"resnet101s", bottleneck(3, 4, 23, 3).s()},
    {"resnet152", bottleneck(3, 8, 36, 3)},
    {"resnet152c", bottleneck(3, 8, 36, 3).c()},
    {"resnet152d", bottleneck(3, 8, 36, 3).d()},
    {"resnet152s", bottleneck(3, 8, 36, 3).s()},
    {"resnet200", bottleneck(3, 24, 36, 3)},
    {"resnet200d", bottleneck(3, 24, 36, 3).d()},
    {"wide_resnet50_2", bottleneck(3, 4, 6, 3).wide(128)},
    {"wide_resnet101_2", bottleneck(3, 4, 23, 3).wide(128)},
    {"resnet50_gn", bottleneck(3, 4, 6, 3).gn()},
    {"resnext50_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4)},
    {"resnext50d_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).d()},
    {"resnext101_32x4d", bottleneck(3, 4, 23, 3).groups(32, 4)},
    {"resnext101_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8)},
    {"resnext101_32x16d", bottleneck(3, 4, 23, 3).groups(32, 16)},
    {"resnext101_32x32d", bottleneck(3, 4, 23, 3).groups(32, 32)},
    {"resnext101_64x4d", bottleneck(3, 4, 23, 3).groups(64, 4)},
    {"ecaresnet26t", bottleneck(2, 2, 2, 2).t().eca()},
    {"ecaresnet50d", bottleneck(3, 4, 6, 3).d().eca()},
    {"ecaresnet50d_pruned", bottleneck(3, 4, 6, 3).d().eca(), pruned_50},
    {"ecaresnet50t", bottleneck(3, 4, 6, 3).t().eca()},
    {"ecaresnetlight", bottleneck(1, 1, 11, 3).eca().with(&Spec::avg_down, true)},
    {"ecaresnet101d", bottleneck(3, 4, 23, 3).d().eca()},
    {"ecaresnet101d_pruned", bottleneck(3, 4, 23, 3).d().eca(), pruned_101},
    {"ecaresnet200d", bottleneck(3, 24, 36, 3).d().eca()},
    {"ecaresnet269d", bottleneck(3, 30, 48, 8).d().eca()},
    {"ecaresnext26t_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().eca()},
    {"ecaresnext50t_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).t().eca()},
    {"seresnet18", basic(2, 2, 2, 2).se()},
    {"seresnet34", basic(3, 4, 6, 3).se()},
    {"seresnet50", bottleneck(3, 4, 6, 3).se()},
    {"seresnet50t", bottleneck(3, 4, 6, 3).t().se()},
    {"seresnet101", bottleneck(3, 4, 23, 3).se()},
    {"seresnet152", bottleneck(3, 8, 36, 3).se()},
    {"seresnet152d", bottleneck(3, 8, 36, 3).d().se()},
    {"seresnet200d", bottleneck(3, 24, 36, 3).d().se()},
    {"seresnet269d", bottleneck(3, 30, 48, 8).d().se()},
    {"seresnext26d_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).d().se()},
    {"seresnext26t_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().se()},
    {"seresnext50_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).se()},
    {"seresnext101_32x4d", bottleneck(3, 4, 23, 3).groups(32, 4).se()},
    {"seresnext101_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).se()},
    {"seresnext101d_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).d().se()},
    {"seresnext101_64x4d", bottleneck(3, 4, 23, 3).groups(64, 4).se()},
    {"senet154", bottleneck(3, 8, 36, 3).groups(64, 4).deep(64).se().with(&Spec::reduce_first, 2).with(&Spec::down_kernel, 3)},
    {"resnetblur18", basic(2, 2, 2, 2).blur()},
    {"resnetblur50", bottleneck(3, 4, 6, 3).blur()},
    {"resnetblur50d", bottleneck(3, 4, 6, 3).d().blur()},
    {"resnetblur101d", bottleneck(3, 4, 23, 3).d().blur()},
    {"resnetaa34d", basic(3, 4, 6, 3).d().aa()},
    {"resnetaa50", bottleneck(3, 4, 6, 3).aa()},
    {"resnetaa50d", bottleneck(3, 4, 6, 3).d().aa()},
    {"resnetaa101d", bottleneck(3, 4, 23, 3).d().aa()},
    {"seresnetaa50d", bottleneck(3, 4, 6, 3).d().aa().se()},
    {"seresnextaa101d_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).d().aa().se()},
    {"seresnextaa201d_32x8d", bottleneck(3, 24, 36, 4).groups(32, 8).e().aa().se()},
    {"resnetrs50", bottleneck(3, 4, 6, 3).rs()},
    {"resnetrs101", bottleneck(3, 4, 23, 3).rs()},
    {"resnetrs152", bottleneck(3, 8, 36, 3).rs()},
    {"resnetrs200", bottleneck(3, 24, 36, 3).rs()},
    {"resnetrs270", bottleneck(4, 29, 53, 4).rs()},
    {"resnetrs350", bottleneck(4, 36, 72, 4).rs()},
    {"resnetrs420", bottleneck(4, 44, 87, 4).rs()},
    {"test_resnet", {.blocks = {Block::basic, Block::basic, Block::bottleneck, Block::basic}, .layers = {1, 1, 1, 1},
                     .channels = {32, 48, 48, 96}, .stem = Stem::deep, .stem_width = 16, .avg_down = true}},
    // Those of timm 0.3.4 that later releases no longer name; "tn" is today's "t".
    {"ecaresnet18", basic(2, 2, 2, 2).eca()},
    {"ecaresnet50", bottleneck(3, 4, 6, 3).eca()},
    {"ecaresnext26tn_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().eca()},
    {"resnet101d_320", bottleneck(3, 4, 23, 3).d()},
    {"resnet152d_320", bottleneck(3, 8, 36, 3).d()},
    {"resnet200d_320", bottleneck(3, 24, 36, 3).d()},
    {"seresnet50tn", bottleneck(3, 4, 6, 3).t().se()},
    {"seresnet152d_320", bottleneck(3, 8, 36, 3).d().se()},
    {"seresnext26_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).se()},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return resnet::build(variant.spec, options, blocks(variant.pruned));
}

}  // namespace

extern constinit const Family resnet_family{"resnet", names_of(variants), build_variant};

NodeId resnet_backbone(const Scope& scope, NodeId x, const Spec& spec) {
  std::vector<FeatureInfo> levels;
  return resnet::build_features({spec, scope}, x, blocks(), levels);
}

}  // namespace wimm
