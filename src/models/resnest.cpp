// ResNeSt (timm/models/resnest.py). Paper: arXiv 2004.08955.
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/resnet_builder.h"
#include "models/variants.h"
#include "nn/attention.h"

namespace wimm {
namespace {

using nn::Scope;
using resnet::bottleneck, resnet::Builder, resnet::Place, resnet::Spec;

struct Variant {
  std::string_view name;
  Spec spec;
  int64_t radix = 2;
  bool pool_first = false;  // downsampling comes before the attention
};

NodeId block(const Builder& net, const Place& place, const Variant& variant, NodeId input) {
  const Scope& scope = place.scope;
  const auto downsample = [&](std::string_view name, NodeId x) {
    return scope.avg_pool(name, x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
  };
  NodeId x = net.relu(scope, "act1", net.norm(scope, "bn1", net.conv1x1(scope, "conv1", input, place.middle)));
  if (place.stride == 2 && variant.pool_first) x = downsample("avd_first", x);
  x = nn::split_attention(scope["conv2"], x, variant.radix, net.spec.cardinality);
  if (place.stride == 2 && !variant.pool_first) x = downsample("avd_last", x);
  x = net.norm(scope, "bn3", net.conv1x1(scope, "conv3", x, 4 * place.planes));
  return net.add_shortcut(place, "act3", x, input);
}

constexpr Variant variants[] = {
    {"resnest14d", bottleneck(1, 1, 1, 1).d()},
    {"resnest26d", bottleneck(2, 2, 2, 2).d()},
    {"resnest50d", bottleneck(3, 4, 6, 3).d()},
    {"resnest50d_1s4x24d", bottleneck(3, 4, 6, 3).d().groups(4, 24), 1, true},
    {"resnest50d_4s2x40d", bottleneck(3, 4, 6, 3).d().groups(2, 40), 4, true},
    {"resnest101e", bottleneck(3, 4, 23, 3).e()},
    {"resnest200e", bottleneck(3, 24, 36, 3).e()},
    {"resnest269e", bottleneck(3, 30, 48, 8).e()},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return resnet::build(variant.spec, options, [&](const Builder& net, const Place& place, NodeId input) {
    return block(net, place, variant, input);
  });
}

}  // namespace

extern constinit const Family resnest_family{"resnest", names_of(variants), build_variant};

}  // namespace wimm
