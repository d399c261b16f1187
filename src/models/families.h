// The families of models that can be built.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace wimm {

// What a caller may change of a variant.
struct BuildOptions {
  int64_t in_chans = 3;
  int64_t num_classes = 1000;              // 0: no classifier
  std::optional<std::string> global_pool;  // timm's names, "" (none); else the variant's own
  std::optional<Size2d> img_size;          // for models of fixed size
  bool pretrained = false;                 // the weights will be those that timm offers
};

// One of timm's model modules, such as `resnet`.
struct Family {
  std::string_view module;
  std::vector<std::string_view> (*variants)();
  // `variant` is one of `variants()`.
  Network (*build)(std::string_view variant, const BuildOptions& options);
};

// One a file of this folder.
Family cspnet_family();
Family deit_family();
Family densenet_family();
Family dla_family();
Family dpn_family();
Family efficientnet_family();
Family focalnet_family();
Family gluon_xception_family();
Family hardcorenas_family();
Family hrnet_family();
Family inception_resnet_v2_family();
Family inception_v3_family();
Family inception_v4_family();
Family metaformer_family();
Family mlp_mixer_family();
Family mobilenetv3_family();
Family nasnet_family();
Family pit_family();
Family pnasnet_family();
Family pvt_v2_family();
Family regnet_family();
Family res2net_family();
Family resnest_family();
Family resnet_family();
Family resnetv2_family();
Family rexnet_family();
Family selecsls_family();
Family senet_family();
Family sknet_family();
Family tresnet_family();
Family vgg_family();
Family visformer_family();
Family vision_transformer_family();
Family vision_transformer_hybrid_family();
Family vovnet_family();
Family xception_aligned_family();
Family xception_family();
Family xcit_family();

std::span<const Family> families();
// Every variant of every family.
std::vector<std::string_view> list_variants();
// Errors: unknown_model, invalid_argument.
Network build_network(std::string_view variant, const BuildOptions& options);

}  // namespace wimm
