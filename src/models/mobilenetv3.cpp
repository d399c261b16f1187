// MobileNetV3 and V4, FBNetV3 and LCNet, as timm/models/mobilenetv3.py.
// Papers: arXiv 1905.02244, 2404.10518, 2006.02049, 2109.15099.
#include "models/mobilenetv3.h"

#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using namespace efficientnet;

using Stages = std::array<std::string_view, 7>;

constexpr Architecture mobilenetv3(double head_channels, const Stages& stages) {
  return {
      .stages = stages,
      .activation = Activation::hard_swish,
      .squeeze_excite = mobilenetv3_squeeze_excite,
      .squeeze_from_expanded = true,
      .stem_channels = 16,
      .fix_stem_below = 0.75,
      .head_channels = head_channels,
  };
}

constexpr Architecture fbnetv3(double stem_channels, const Stages& stages) {
  constexpr double round_limit = 0.95;
  return {
      .stages = stages,
      .activation = Activation::hard_swish,
      .squeeze_excite = {.gate = Activation::hard_sigmoid, .rounding = ChannelRounding{.round_limit = round_limit}},
      .round_limit = round_limit,
      .stem_channels = stem_channels,
      .head_channels = 1984,
      .head_bias = false,
  };
}

constexpr Architecture mobilenetv4(double stem_channels, const Stages& stages) {
  return {
      .stages = stages,
      .stem_channels = stem_channels,
      .fix_stem_below = 1,
      .head_bias = false,
      .head_norm = true,
  };
}

constexpr Architecture hybrid(Architecture architecture, Activation activation) {
  architecture.activation = activation;
  architecture.layer_scale = true;
  return architecture;
}

constexpr Architecture minimal(Architecture architecture) {
  architecture.activation = Activation::relu;
  return architecture;
}

// clang-format off
constexpr Architecture mobilenetv3_large = mobilenetv3(1280, {
    "ds_r1_k3_s1_e1_c16_nre",
    "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
    "ir_r3_k5_s2_e3_c40_se0.25_nre",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se0.25",
    "ir_r3_k5_s2_e6_c160_se0.25",
    "cn_r1_k1_s1_c960",
});

constexpr Architecture mobilenetv3_large_minimal = minimal(mobilenetv3(1280, {
    "ds_r1_k3_s1_e1_c16",
    "ir_r1_k3_s2_e4_c24 ir_r1_k3_s1_e3_c24",
    "ir_r3_k3_s2_e3_c40",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112",
    "ir_r3_k3_s2_e6_c160",
    "cn_r1_k1_s1_c960",
}));

constexpr Architecture mobilenetv3_large_rw{
    .stages = {
        "ds_r1_k3_s1_e1_c16_nre_noskip",
        "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
        "ir_r3_k5_s2_e3_c40_se0.25_nre",
        "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "cn_r1_k1_s1_c960",
    },
    .activation = Activation::hard_swish,
    .squeeze_excite = {.gate = Activation::hard_sigmoid},
    .squeeze_from_expanded = true,
    .stem_channels = 16,
    .head_bias = false,
};

constexpr Architecture mobilenetv3_small = mobilenetv3(1024, {
    "ds_r1_k3_s2_e1_c16_se0.25_nre",
    "ir_r1_k3_s2_e4.5_c24_nre ir_r1_k3_s1_e3.67_c24_nre",
    "ir_r1_k5_s2_e4_c40_se0.25 ir_r2_k5_s1_e6_c40_se0.25",
    "ir_r2_k5_s1_e3_c48_se0.25",
    "ir_r3_k5_s2_e6_c96_se0.25",
    "cn_r1_k1_s1_c576",
});

constexpr Architecture mobilenetv3_small_minimal = minimal(mobilenetv3(1024, {
    "ds_r1_k3_s2_e1_c16",
    "ir_r1_k3_s2_e4.5_c24 ir_r1_k3_s1_e3.67_c24",
    "ir_r1_k3_s2_e4_c40 ir_r2_k3_s1_e6_c40",
    "ir_r2_k3_s1_e3_c48",
    "ir_r3_k3_s2_e6_c96",
    "cn_r1_k1_s1_c576",
}));

constexpr Architecture fbnetv3_b = fbnetv3(16, {
    "ds_r2_k3_s1_e1_c16",
    "ir_r1_k5_s2_e4_c24 ir_r3_k5_s1_e2_c24",
    "ir_r1_k5_s2_e5_c40_se0.25 ir_r4_k5_s1_e3_c40_se0.25",
    "ir_r1_k5_s2_e5_c72 ir_r4_k3_s1_e3_c72",
    "ir_r1_k3_s1_e5_c120_se0.25 ir_r5_k5_s1_e3_c120_se0.25",
    "ir_r1_k3_s2_e6_c184_se0.25 ir_r5_k5_s1_e4_c184_se0.25 ir_r1_k5_s1_e6_c224_se0.25",
    "cn_r1_k1_s1_c1344",
});

constexpr Architecture fbnetv3_d = fbnetv3(24, {
    "ds_r2_k3_s1_e1_c16",
    "ir_r1_k3_s2_e5_c24 ir_r5_k3_s1_e2_c24",
    "ir_r1_k5_s2_e4_c40_se0.25 ir_r4_k3_s1_e3_c40_se0.25",
    "ir_r1_k3_s2_e5_c72 ir_r4_k3_s1_e3_c72",
    "ir_r1_k3_s1_e5_c128_se0.25 ir_r6_k5_s1_e3_c128_se0.25",
    "ir_r1_k3_s2_e6_c208_se0.25 ir_r5_k5_s1_e5_c208_se0.25 ir_r1_k5_s1_e6_c240_se0.25",
    "cn_r1_k1_s1_c1440",
});

constexpr Architecture fbnetv3_g = fbnetv3(32, {
    "ds_r3_k3_s1_e1_c24",
    "ir_r1_k5_s2_e4_c40 ir_r4_k5_s1_e2_c40",
    "ir_r1_k5_s2_e4_c56_se0.25 ir_r4_k5_s1_e3_c56_se0.25",
    "ir_r1_k5_s2_e5_c104 ir_r4_k3_s1_e3_c104",
    "ir_r1_k3_s1_e5_c160_se0.25 ir_r8_k5_s1_e3_c160_se0.25",
    "ir_r1_k3_s2_e6_c264_se0.25 ir_r6_k5_s1_e5_c264_se0.25 ir_r2_k5_s1_e6_c288_se0.25",
    "cn_r1_k1_s1_c1728",
});

constexpr Architecture lcnet{
    .stages = {
        "dsa_r1_k3_s1_c32",
        "dsa_r2_k3_s2_c64",
        "dsa_r2_k3_s2_c128",
        "dsa_r1_k3_s2_c256 dsa_r1_k5_s1_c256",
        "dsa_r4_k5_s1_c256",
        "dsa_r2_k5_s2_c512_se0.25",
    },
    .activation = Activation::hard_swish,
    .squeeze_excite = {.gate = Activation::hard_sigmoid, .activation = Activation::relu},
    .squeeze_from_expanded = true,
    .stem_channels = 16,
};

constexpr Architecture mobilenetv4_conv_small = mobilenetv4(32, {
    "cn_r1_k3_s2_e1_c32 cn_r1_k1_s1_e1_c32",
    "cn_r1_k3_s2_e1_c96 cn_r1_k1_s1_e1_c64",
    "uir_r1_a5_k5_s2_e3_c96 uir_r4_a0_k3_s1_e2_c96 uir_r1_a3_k0_s1_e4_c96",
    "uir_r1_a3_k3_s2_e6_c128 uir_r1_a5_k5_s1_e4_c128 uir_r1_a0_k5_s1_e4_c128 uir_r1_a0_k5_s1_e3_c128 "
    "uir_r2_a0_k3_s1_e4_c128",
    "cn_r1_k1_s1_c960",
});

constexpr Architecture mobilenetv4_conv_medium = mobilenetv4(32, {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
    "uir_r1_a3_k5_s2_e6_c160 uir_r2_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 uir_r1_a3_k3_s1_e4_c160 "
    "uir_r1_a3_k0_s1_e4_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k0_s1_e4_c160",
    "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e4_c256 "
    "uir_r1_a3_k0_s1_e4_c256 uir_r1_a3_k5_s1_e2_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a0_k0_s1_e4_c256 "
    "uir_r1_a5_k0_s1_e2_c256",
    "cn_r1_k1_s1_c960",
});

constexpr Architecture mobilenetv4_conv_large = mobilenetv4(24, {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
    "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r5_a5_k3_s1_e4_c192 "
    "uir_r1_a3_k0_s1_e4_c192",
    "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
    "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 uir_r3_a5_k0_s1_e4_c512",
    "cn_r1_k1_s1_c960",
});

constexpr Architecture mobilenetv4_hybrid_medium = hybrid(mobilenetv4(32, {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
    "uir_r1_a3_k5_s2_e6_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 "
    "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k0_s1_e4_c160 "
    "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k0_s1_e4_c160",
    "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e2_c256 "
    "uir_r1_a3_k5_s1_e2_c256 uir_r1_a0_k0_s1_e2_c256 uir_r1_a0_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
    "uir_r1_a3_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k5_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
    "uir_r1_a5_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k0_s1_e4_c256",
    "cn_r1_k1_s1_c960",
}), Activation::relu);

constexpr Architecture mobilenetv4_hybrid_large = hybrid(mobilenetv4(24, {
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
    "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r2_a5_k3_s1_e4_c192 "
    "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 "
    "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a3_k0_s1_e4_c192",
    "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
    "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
    "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
    "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512",
    "cn_r1_k1_s1_c960",
}), Activation::gelu);

constexpr Variant variants[] = {
    {"mobilenetv3_large_075", mobilenetv3_large, {.width = 0.75}},
    {"mobilenetv3_large_100", mobilenetv3_large},
    {"mobilenetv3_large_150d", mobilenetv3_large, {.width = 1.5, .depth = 1.2}},
    {"mobilenetv3_small_050", mobilenetv3_small, {.width = 0.5}},
    {"mobilenetv3_small_075", mobilenetv3_small, {.width = 0.75}},
    {"mobilenetv3_small_100", mobilenetv3_small},
    {"mobilenetv3_rw", mobilenetv3_large_rw, {.norm = {.eps = tf_norm_eps}}},
    {"tf_mobilenetv3_large_075", mobilenetv3_large, {.width = 0.75, .tf = true}},
    {"tf_mobilenetv3_large_100", mobilenetv3_large, {.tf = true}},
    {"tf_mobilenetv3_large_minimal_100", mobilenetv3_large_minimal, {.tf = true}},
    {"tf_mobilenetv3_small_075", mobilenetv3_small, {.width = 0.75, .tf = true}},
    {"tf_mobilenetv3_small_100", mobilenetv3_small, {.tf = true}},
    {"tf_mobilenetv3_small_minimal_100", mobilenetv3_small_minimal, {.tf = true}},
    {"fbnetv3_b", fbnetv3_b},
    {"fbnetv3_d", fbnetv3_d},
    {"fbnetv3_g", fbnetv3_g},
    {"lcnet_035", lcnet, {.width = 0.35}},
    {"lcnet_050", lcnet, {.width = 0.5}},
    {"lcnet_075", lcnet, {.width = 0.75}},
    {"lcnet_100", lcnet},
    {"lcnet_150", lcnet, {.width = 1.5}},
    {"mobilenetv4_conv_small_035", mobilenetv4_conv_small, {.width = 0.35}},
    {"mobilenetv4_conv_small_050", mobilenetv4_conv_small, {.width = 0.5}},
    {"mobilenetv4_conv_small", mobilenetv4_conv_small},
    {"mobilenetv4_conv_medium", mobilenetv4_conv_medium},
    {"mobilenetv4_conv_large", mobilenetv4_conv_large},
    {"mobilenetv4_hybrid_medium", mobilenetv4_hybrid_medium},
    {"mobilenetv4_hybrid_large", mobilenetv4_hybrid_large},
    {"mobilenetv4_conv_aa_medium", mobilenetv4_conv_medium, {.anti_alias = AntiAlias::avg}},
    {"mobilenetv4_conv_blur_medium", mobilenetv4_conv_medium, {.anti_alias = AntiAlias::blur}},
    {"mobilenetv4_conv_aa_large", mobilenetv4_conv_large, {.anti_alias = AntiAlias::avg}},
    {"mobilenetv4_hybrid_medium_075", mobilenetv4_hybrid_medium, {.width = 0.75}},
    {"mobilenetv4_hybrid_large_075", mobilenetv4_hybrid_large, {.width = 0.75}},
};
// clang-format on

Network build(std::string_view name, const BuildOptions& options) {
  return build_mobilenetv3(find(variants, name), options);
}

}  // namespace

Network build_mobilenetv3(const Variant& variant, const BuildOptions& options) {
  const Spec spec = scale(variant, options.pretrained);
  Network network;
  network.features = build_trunk(spec, options.in_chans, network);
  const Layers layers(nn::Scope(network.graph), spec.style);
  network.num_features = layers.channels(network.features);

  const std::string pool = options.global_pool.value_or("avg");
  const NodeId pooled = nn::select_pool(layers.scope(), network.features, pool, options.num_classes, true);
  NodeId x = layers.scope().conv2d("conv_head", pooled, {.out_channels = spec.head_channels, .bias = spec.head_bias});
  x = spec.head_norm ? layers.norm("norm_head", x) : layers.scope().activate("act2", x, spec.style.activation);
  if (!pool.empty()) x = layers.scope()["flatten"].node(Flatten{}, {x}, layers.channels(x));
  nn::linear_classifier(network, layers.scope(), "classifier", x, options.num_classes);
  return network;
}

extern constinit const Family mobilenetv3_family{"mobilenetv3", names_of(variants), build};

}  // namespace wimm
