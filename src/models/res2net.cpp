// Res2Net and Res2NeXt (timm/models/res2net.py). Paper: arXiv 1904.01169.
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/resnet_builder.h"
#include "models/variants.h"
#include "nn/multi_scale.h"

namespace wimm {
namespace {

using nn::Scope;
using resnet::bottleneck, resnet::Builder, resnet::Place, resnet::Spec;

NodeId block(const Builder& net, const Place& place, int64_t scale, NodeId input) {
  const Scope& scope = place.scope;
  NodeId x = net.relu(scope, "relu", net.norm(scope, "bn1", net.conv1x1(scope, "conv1", input, place.middle * scale)));
  x = nn::multi_scale(scope, x, {scale, place.stride, net.spec.cardinality, !place.project});
  x = net.norm(scope, "bn3", net.conv1x1(scope, "conv3", x, 4 * place.planes));
  return net.add_shortcut(place, "relu", x, input);
}

struct Variant {
  std::string_view name;
  Spec spec;
  int64_t scale;
};

constexpr Variant variants[] = {
    {"res2net50_14w_8s", bottleneck(3, 4, 6, 3).wide(14), 8},
    {"res2net50_26w_4s", bottleneck(3, 4, 6, 3).wide(26), 4},
    {"res2net50_26w_6s", bottleneck(3, 4, 6, 3).wide(26), 6},
    {"res2net50_26w_8s", bottleneck(3, 4, 6, 3).wide(26), 8},
    {"res2net50_48w_2s", bottleneck(3, 4, 6, 3).wide(48), 2},
    {"res2net50d", bottleneck(3, 4, 6, 3).wide(26).d(), 4},
    {"res2net101_26w_4s", bottleneck(3, 4, 23, 3).wide(26), 4},
    {"res2net101d", bottleneck(3, 4, 23, 3).wide(26).d(), 4},
    {"res2next50", bottleneck(3, 4, 6, 3).groups(8, 4), 4},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  return resnet::build(variant.spec, options, [&](const Builder& net, const Place& place, NodeId input) {
    return block(net, place, variant.scale, input);
  });
}

}  // namespace

extern constinit const Family res2net_family{"res2net", names_of(variants), build_variant};

}  // namespace wimm
