// The list of families.
#include "models/families.h"

#include <algorithm>

#include "wimm/error.h"

namespace wimm {

std::span<const Family> families() {
  // clang-format off
  static const Family all[] = {
      cspnet_family(),
      deit_family(),
      densenet_family(),
      dla_family(),
      dpn_family(),
      efficientnet_family(),
      focalnet_family(),
      gluon_xception_family(),
      hardcorenas_family(),
      hrnet_family(),
      inception_resnet_v2_family(),
      inception_v3_family(),
      inception_v4_family(),
      metaformer_family(),
      mlp_mixer_family(),
      mobilenetv3_family(),
      nasnet_family(),
      pit_family(),
      pnasnet_family(),
      pvt_v2_family(),
      regnet_family(),
      res2net_family(),
      resnest_family(),
      resnet_family(),
      resnetv2_family(),
      rexnet_family(),
      selecsls_family(),
      senet_family(),
      sknet_family(),
      tresnet_family(),
      vgg_family(),
      visformer_family(),
      vision_transformer_family(),
      vision_transformer_hybrid_family(),
      vovnet_family(),
      xception_aligned_family(),
      xception_family(),
      xcit_family(),
  };
  // clang-format on
  return all;
}

std::vector<std::string_view> list_variants() {
  std::vector<std::string_view> names;
  for (const Family& family : families()) {
    for (const std::string_view name : family.variants()) names.push_back(name);
  }
  return names;
}

Network build_network(std::string_view variant, const BuildOptions& options) {
  for (const Family& family : families()) {
    const std::vector<std::string_view> names = family.variants();
    if (std::ranges::find(names, variant) != names.end()) return family.build(variant, options);
  }
  throw Error(ErrorCode::unknown_model, "unknown model " + quote(variant) + ": see the list of models");
}

}  // namespace wimm
