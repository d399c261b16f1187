// EfficientNet, EfficientNetV2, MnasNet, MobileNetV1 and V2, MixNet, TinyNet and relatives, as
// timm/models/efficientnet.py. Papers: arXiv 1905.11946, 2104.00298, 1904.04971, 2002.08258, 1907.09595, 1807.11626,
// 1704.04861, 1801.04381, 2204.14007, 1812.03443, 1904.02877, 2010.14819.
#include "models/efficientnet_builder.h"
#include "models/efficientnet_pruned.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using namespace efficientnet;
using HeadWidth = Architecture::HeadWidth;

constexpr Architecture mnasnet_a1{
    .stages = {"ds_r1_k3_s1_e1_c16_noskip", "ir_r2_k3_s2_e6_c24", "ir_r3_k5_s2_e3_c40_se0.25", "ir_r4_k3_s2_e6_c80",
               "ir_r2_k3_s1_e6_c112_se0.25", "ir_r3_k5_s2_e6_c160_se0.25", "ir_r1_k3_s1_e6_c320"},
};

constexpr Architecture mnasnet_b1{
    .stages = {"ds_r1_k3_s1_c16_noskip", "ir_r3_k3_s2_e3_c24", "ir_r3_k5_s2_e3_c40", "ir_r3_k5_s2_e6_c80",
               "ir_r2_k3_s1_e6_c96", "ir_r4_k5_s2_e6_c192", "ir_r1_k3_s1_e6_c320_noskip"},
};

constexpr Architecture mnasnet_small{
    .stages = {"ds_r1_k3_s1_c8", "ir_r1_k3_s2_e3_c16", "ir_r2_k3_s2_e6_c16", "ir_r4_k5_s2_e6_c32_se0.25",
               "ir_r3_k3_s1_e6_c32_se0.25", "ir_r3_k5_s2_e6_c88_se0.25", "ir_r1_k3_s1_e6_c144"},
    .stem_channels = 8,
};

constexpr Architecture mobilenetv1{
    .stages = {"dsa_r1_k3_s1_c64", "dsa_r2_k3_s2_c128", "dsa_r2_k3_s2_c256", "dsa_r6_k3_s2_c512", "dsa_r2_k3_s2_c1024"},
    .activation = Activation::relu6,
    .head_channels = 1024,
    .head_width = HeadWidth::grown,
};

constexpr Architecture mobilenetv2{
    .stages = {"ds_r1_k3_s1_c16", "ir_r2_k3_s2_e6_c24", "ir_r3_k3_s2_e6_c32", "ir_r4_k3_s2_e6_c64",
               "ir_r3_k3_s1_e6_c96", "ir_r3_k3_s2_e6_c160", "ir_r1_k3_s1_e6_c320"},
    .activation = Activation::relu6,
    .head_width = HeadWidth::grown,
};

constexpr Architecture fbnetc{
    .stages = {"ir_r1_k3_s1_e1_c16", "ir_r1_k3_s2_e6_c24 ir_r2_k3_s1_e1_c24",
               "ir_r1_k5_s2_e6_c32 ir_r1_k5_s1_e3_c32 ir_r1_k5_s1_e6_c32 ir_r1_k3_s1_e6_c32",
               "ir_r1_k5_s2_e6_c64 ir_r1_k5_s1_e3_c64 ir_r2_k5_s1_e6_c64", "ir_r3_k5_s1_e6_c112 ir_r1_k5_s1_e3_c112",
               "ir_r4_k5_s2_e6_c184", "ir_r1_k3_s1_e6_c352"},
    .stem_channels = 16,
    .head_channels = 1984,
};

constexpr Architecture spnasnet{
    .stages = {"ds_r1_k3_s1_c16_noskip", "ir_r3_k3_s2_e3_c24", "ir_r1_k5_s2_e6_c40 ir_r3_k3_s1_e3_c40",
               "ir_r1_k5_s2_e6_c80 ir_r3_k3_s1_e3_c80", "ir_r1_k5_s1_e6_c96 ir_r3_k5_s1_e3_c96", "ir_r4_k5_s2_e6_c192",
               "ir_r1_k3_s1_e6_c320_noskip"},
};

constexpr Architecture efficientnet{
    .stages = {"ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24_se0.25", "ir_r2_k5_s2_e6_c40_se0.25",
               "ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25",
               "ir_r1_k3_s1_e6_c320_se0.25"},
    .activation = Activation::silu,
    .head_width = HeadWidth::scaled,
};

// TinyNet is EfficientNet, narrowed and made shallower.
constexpr Architecture tinynet{
    .stages = efficientnet.stages,
    .activation = Activation::silu,
    .round_depth = true,
    .fix_stem_below = 2,
    .head_width = HeadWidth::grown,
};

constexpr Architecture efficientnet_edge{
    .stages = {"er_r1_k3_s1_e4_c24_fc24_noskip", "er_r2_k3_s2_e8_c32", "er_r4_k3_s2_e8_c48", "ir_r5_k5_s2_e8_c96",
               "ir_r4_k5_s1_e8_c144", "ir_r2_k5_s2_e8_c192"},
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnet_condconv{
    .stages = {"ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24_se0.25", "ir_r2_k5_s2_e6_c40_se0.25",
               "ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25_cc4", "ir_r4_k5_s2_e6_c192_se0.25_cc4",
               "ir_r1_k3_s1_e6_c320_se0.25_cc4"},
    .activation = Activation::silu,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnet_lite{
    .stages = {"ds_r1_k3_s1_e1_c16", "ir_r2_k3_s2_e6_c24", "ir_r2_k5_s2_e6_c40", "ir_r3_k3_s2_e6_c80",
               "ir_r3_k5_s1_e6_c112", "ir_r4_k5_s2_e6_c192", "ir_r1_k3_s1_e6_c320"},
    .activation = Activation::relu6,
    .fixed_ends = true,
};

constexpr Architecture efficientnetv2_base{
    .stages = {"cn_r1_k3_s1_e1_c16_skip", "er_r2_k3_s2_e4_c32", "er_r2_k3_s2_e4_c48", "ir_r3_k3_s2_e4_c96_se0.25",
               "ir_r5_k3_s1_e6_c112_se0.25", "ir_r8_k3_s2_e6_c192_se0.25"},
    .activation = Activation::silu,
    .round_limit = 0,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnetv2_s{
    .stages = {"cn_r2_k3_s1_e1_c24_skip", "er_r4_k3_s2_e4_c48", "er_r4_k3_s2_e4_c64", "ir_r6_k3_s2_e4_c128_se0.25",
               "ir_r9_k3_s1_e6_c160_se0.25", "ir_r15_k3_s2_e6_c256_se0.25"},
    .activation = Activation::silu,
    .stem_channels = 24,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnetv2_rw{
    .stages = {"er_r2_k3_s1_e1_c24", "er_r4_k3_s2_e4_c48", "er_r4_k3_s2_e4_c64", "ir_r6_k3_s2_e4_c128_se0.25",
               "ir_r9_k3_s1_e6_c160_se0.25", "ir_r15_k3_s2_e6_c272_se0.25"},
    .activation = Activation::silu,
    .stem_channels = 24,
    .head_channels = 1792,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnetv2_m{
    .stages = {"cn_r3_k3_s1_e1_c24_skip", "er_r5_k3_s2_e4_c48", "er_r5_k3_s2_e4_c80", "ir_r7_k3_s2_e4_c160_se0.25",
               "ir_r14_k3_s1_e6_c176_se0.25", "ir_r18_k3_s2_e6_c304_se0.25", "ir_r5_k3_s1_e6_c512_se0.25"},
    .activation = Activation::silu,
    .stem_channels = 24,
};

constexpr Architecture efficientnetv2_l{
    .stages = {"cn_r4_k3_s1_e1_c32_skip", "er_r7_k3_s2_e4_c64", "er_r7_k3_s2_e4_c96", "ir_r10_k3_s2_e4_c192_se0.25",
               "ir_r19_k3_s1_e6_c224_se0.25", "ir_r25_k3_s2_e6_c384_se0.25", "ir_r7_k3_s1_e6_c640_se0.25"},
    .activation = Activation::silu,
};

constexpr Architecture efficientnetv2_xl{
    .stages = {"cn_r4_k3_s1_e1_c32_skip", "er_r8_k3_s2_e4_c64", "er_r8_k3_s2_e4_c96", "ir_r16_k3_s2_e4_c192_se0.25",
               "ir_r24_k3_s1_e6_c256_se0.25", "ir_r32_k3_s2_e6_c512_se0.25", "ir_r8_k3_s1_e6_c640_se0.25"},
    .activation = Activation::silu,
};

constexpr Architecture efficientnet_x{
    .stages = {"ds_r1_k3_s1_e1_c16_se0.25_d1", "er_r2_k3_s2_e6_c24_se0.25_nre", "er_r2_k5_s2_e6_c40_se0.25_nre",
               "ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25",
               "ir_r1_k3_s1_e6_c320_se0.25"},
    .activation = Activation::silu,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture efficientnet_h{
    .stages = {"ds_r1_k3_s1_e1_c16_se0.25_d1", "er_r2_k3_s2_e4_c24_se0.25_nre", "er_r2_k5_s2_e4_c40_se0.25_nre",
               "ir_r3_k3_s2_e4_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25",
               "ir_r1_k3_s1_e6_c320_se0.25"},
    .activation = Activation::silu,
    .head_width = HeadWidth::scaled,
};

constexpr Architecture mixnet_s{
    .stages = {"ds_r1_k3_s1_e1_c16", "ir_r1_k3_a1.1_p1.1_s2_e6_c24 ir_r1_k3_a1.1_p1.1_s1_e3_c24",
               "ir_r1_k3.5.7_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
               "ir_r1_k3.5.7_p1.1_s2_e6_c80_se0.25_nsw ir_r2_k3.5_p1.1_s1_e6_c80_se0.25_nsw",
               "ir_r1_k3.5.7_a1.1_p1.1_s1_e6_c120_se0.5_nsw ir_r2_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
               "ir_r1_k3.5.7.9.11_s2_e6_c200_se0.5_nsw ir_r2_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw"},
    .stem_channels = 16,
    .head_channels = 1536,
};

constexpr Architecture mixnet_m{
    .stages = {"ds_r1_k3_s1_e1_c24", "ir_r1_k3.5.7_a1.1_p1.1_s2_e6_c32 ir_r1_k3_a1.1_p1.1_s1_e3_c32",
               "ir_r1_k3.5.7.9_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
               "ir_r1_k3.5.7_s2_e6_c80_se0.25_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e6_c80_se0.25_nsw",
               "ir_r1_k3_s1_e6_c120_se0.5_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
               "ir_r1_k3.5.7.9_s2_e6_c200_se0.5_nsw ir_r3_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw"},
    .round_depth = true,
    .stem_channels = 24,
    .head_channels = 1536,
};

constexpr Architecture mobilenet_edgetpu{
    .stages = {"cn_r1_k1_s1_c16", "er_r1_k3_s2_e8_c32 er_r3_k3_s1_e4_c32", "er_r1_k3_s2_e8_c48 er_r3_k3_s1_e4_c48",
               "ir_r1_k3_s2_e8_c96 ir_r3_k3_s1_e4_c96", "ir_r1_k3_s1_e8_c96_noskip ir_r3_k3_s1_e4_c96",
               "ir_r1_k5_s2_e8_c160 ir_r3_k5_s1_e4_c160", "ir_r1_k3_s1_e8_c192"},
};

constexpr Architecture mobilenet_edgetpu_v2(std::array<int64_t, 7> channels, double stem_channels, int64_t stem_kernel,
                                            double head_channels) {
  return {
      .stages = {"cn_r1_k1_s1", "er_r1_k3_s2_e8 er_r1_k3_s1_e4_gs64",
                 "er_r1_k3_s2_e8 er_r1_k3_s1_e4_gs64 er_r1_k3_s1_e4 er_r1_k3_s1_e4_gs64",
                 "er_r1_k3_s2_e8 ir_r3_k3_s1_e4", "ir_r1_k3_s1_e8 ir_r3_k3_s1_e4", "ir_r1_k3_s2_e8 ir_r3_k3_s1_e4",
                 "ir_r1_k3_s1_e8"},
      .channels = channels,
      .stem_channels = stem_channels,
      .stem_kernel = stem_kernel,
      .head_channels = head_channels,
  };
}
constexpr Architecture mobilenet_edgetpu_v2_xs = mobilenet_edgetpu_v2({16, 32, 48, 96, 144, 160, 192}, 32, 3, 1280);
constexpr Architecture mobilenet_edgetpu_v2_s = mobilenet_edgetpu_v2({24, 48, 64, 128, 160, 192, 256}, 64, 5, 1280);
constexpr Architecture mobilenet_edgetpu_v2_m = mobilenet_edgetpu_v2({32, 64, 80, 160, 192, 240, 320}, 64, 5, 1344);
constexpr Architecture mobilenet_edgetpu_v2_l = [] {
  Architecture large = mobilenet_edgetpu_v2({32, 64, 96, 192, 240, 256, 384}, 64, 7, 1408);
  large.stages[1] = "er_r1_k3_s2_e8 er_r1_k3_s1_e4_gs128";
  large.stages[2] = "er_r1_k3_s2_e8 er_r1_k3_s1_e4_gs128 er_r1_k3_s1_e4 er_r1_k3_s1_e4_gs128";
  return large;
}();

constexpr Architecture test_efficientnet{
    .stages = {"cn_r1_k3_s1_e1_c16_skip", "er_r1_k3_s2_e4_c24", "er_r1_k3_s2_e4_c32", "ir_r1_k3_s2_e4_c48_se0.25",
               "ir_r1_k3_s2_e4_c64_se0.25"},
    .activation = Activation::silu,
    .round_limit = 0,
    .stem_channels = 24,
    .head_channels = 256,
    .head_width = HeadWidth::scaled,
};

constexpr Norm group_norm(int64_t group_size) { return {.kind = Norm::Kind::group, .group_size = group_size}; }

// clang-format off
constexpr Variant variants[] = {
    {"mnasnet_050", mnasnet_b1, {.width = 0.5}},
    {"mnasnet_075", mnasnet_b1, {.width = 0.75}},
    {"mnasnet_100", mnasnet_b1},
    {"mnasnet_140", mnasnet_b1, {.width = 1.4}},
    {"semnasnet_050", mnasnet_a1, {.width = 0.5}},
    {"semnasnet_075", mnasnet_a1, {.width = 0.75}},
    {"semnasnet_100", mnasnet_a1},
    {"semnasnet_140", mnasnet_a1, {.width = 1.4}},
    {"mnasnet_small", mnasnet_small},
    {"mobilenetv1_100", mobilenetv1, {.head_conv = false}},
    {"mobilenetv1_100h", mobilenetv1},
    {"mobilenetv1_125", mobilenetv1, {.width = 1.25, .head_conv = false}},
    {"mobilenetv2_035", mobilenetv2, {.width = 0.35}},
    {"mobilenetv2_050", mobilenetv2, {.width = 0.5}},
    {"mobilenetv2_075", mobilenetv2, {.width = 0.75}},
    {"mobilenetv2_100", mobilenetv2},
    {"mobilenetv2_140", mobilenetv2, {.width = 1.4}},
    {"mobilenetv2_110d", mobilenetv2, {.width = 1.1, .depth = 1.2, .fixed_ends = true}},
    {"mobilenetv2_120d", mobilenetv2, {.width = 1.2, .depth = 1.4, .fixed_ends = true}},
    {"fbnetc_100", fbnetc, {.pretrained_eps = tf_norm_eps}},
    {"spnasnet_100", spnasnet},
    {"efficientnet_b0", efficientnet},
    {"efficientnet_b1", efficientnet, {.depth = 1.1}},
    {"efficientnet_b2", efficientnet, {.width = 1.1, .depth = 1.2}},
    {"efficientnet_b3", efficientnet, {.width = 1.2, .depth = 1.4}},
    {"efficientnet_b4", efficientnet, {.width = 1.4, .depth = 1.8}},
    {"efficientnet_b5", efficientnet, {.width = 1.6, .depth = 2.2}},
    {"efficientnet_b6", efficientnet, {.width = 1.8, .depth = 2.6}},
    {"efficientnet_b7", efficientnet, {.width = 2, .depth = 3.1}},
    {"efficientnet_b8", efficientnet, {.width = 2.2, .depth = 3.6}},
    {"efficientnet_l2", efficientnet, {.width = 4.3, .depth = 5.3}},
    {"efficientnet_b0_gn", efficientnet, {.norm = group_norm(8)}},
    {"efficientnet_b0_g8_gn", efficientnet, {.group_size = 8, .norm = group_norm(8)}},
    {"efficientnet_b0_g16_evos", efficientnet, {.channel_divisor = 16, .group_size = 16}},
    {"efficientnet_b3_gn", efficientnet, {.width = 1.2, .depth = 1.4, .channel_divisor = 16, .norm = group_norm(16)}},
    {"efficientnet_b3_g8_gn", efficientnet, {.width = 1.2, .depth = 1.4, .channel_divisor = 16, .group_size = 8, .norm = group_norm(16)}},
    {"efficientnet_blur_b0", efficientnet, {.anti_alias = AntiAlias::blur}},
    {"efficientnet_es", efficientnet_edge},
    {"efficientnet_es_pruned", efficientnet_edge},
    {"efficientnet_em", efficientnet_edge, {.depth = 1.1}},
    {"efficientnet_el", efficientnet_edge, {.width = 1.2, .depth = 1.4}},
    {"efficientnet_el_pruned", efficientnet_edge, {.width = 1.2, .depth = 1.4}},
    {"efficientnet_cc_b0_4e", efficientnet_condconv},
    {"efficientnet_cc_b0_8e", efficientnet_condconv, {.experts = 2}},
    {"efficientnet_cc_b1_8e", efficientnet_condconv, {.depth = 1.1, .experts = 2}},
    {"efficientnet_lite0", efficientnet_lite},
    {"efficientnet_lite1", efficientnet_lite, {.depth = 1.1}},
    {"efficientnet_lite2", efficientnet_lite, {.width = 1.1, .depth = 1.2}},
    {"efficientnet_lite3", efficientnet_lite, {.width = 1.2, .depth = 1.4}},
    {"efficientnet_lite4", efficientnet_lite, {.width = 1.4, .depth = 1.8}},
    {"efficientnet_b1_pruned", efficientnet, {.depth = 1.1, .tf = true, .pruned = b1_pruned}},
    {"efficientnet_b2_pruned", efficientnet, {.width = 1.1, .depth = 1.2, .tf = true, .pruned = b2_pruned}},
    {"efficientnet_b3_pruned", efficientnet, {.width = 1.2, .depth = 1.4, .tf = true, .pruned = b3_pruned}},
    {"efficientnetv2_rw_t", efficientnetv2_s, {.width = 0.8, .depth = 0.9}},
    {"gc_efficientnetv2_rw_t", efficientnetv2_s, {.width = 0.8, .depth = 0.9, .global_context = true}},
    {"efficientnetv2_rw_s", efficientnetv2_rw},
    {"efficientnetv2_rw_m", efficientnetv2_rw, {.width = 1.2, .depth = 1.2, .late_depth = 1.6}},
    {"efficientnetv2_s", efficientnetv2_s},
    {"efficientnetv2_m", efficientnetv2_m},
    {"efficientnetv2_l", efficientnetv2_l},
    {"efficientnetv2_xl", efficientnetv2_xl},
    {"tf_efficientnet_b0", efficientnet, {.tf = true}},
    {"tf_efficientnet_b1", efficientnet, {.depth = 1.1, .tf = true}},
    {"tf_efficientnet_b2", efficientnet, {.width = 1.1, .depth = 1.2, .tf = true}},
    {"tf_efficientnet_b3", efficientnet, {.width = 1.2, .depth = 1.4, .tf = true}},
    {"tf_efficientnet_b4", efficientnet, {.width = 1.4, .depth = 1.8, .tf = true}},
    {"tf_efficientnet_b5", efficientnet, {.width = 1.6, .depth = 2.2, .tf = true}},
    {"tf_efficientnet_b6", efficientnet, {.width = 1.8, .depth = 2.6, .tf = true}},
    {"tf_efficientnet_b7", efficientnet, {.width = 2, .depth = 3.1, .tf = true}},
    {"tf_efficientnet_b8", efficientnet, {.width = 2.2, .depth = 3.6, .tf = true}},
    {"tf_efficientnet_l2", efficientnet, {.width = 4.3, .depth = 5.3, .tf = true}},
    {"tf_efficientnet_es", efficientnet_edge, {.tf = true}},
    {"tf_efficientnet_em", efficientnet_edge, {.depth = 1.1, .tf = true}},
    {"tf_efficientnet_el", efficientnet_edge, {.width = 1.2, .depth = 1.4, .tf = true}},
    {"tf_efficientnet_cc_b0_4e", efficientnet_condconv, {.tf = true}},
    {"tf_efficientnet_cc_b0_8e", efficientnet_condconv, {.tf = true, .experts = 2}},
    {"tf_efficientnet_cc_b1_8e", efficientnet_condconv, {.depth = 1.1, .tf = true, .experts = 2}},
    {"tf_efficientnet_lite0", efficientnet_lite, {.tf = true}},
    {"tf_efficientnet_lite1", efficientnet_lite, {.depth = 1.1, .tf = true}},
    {"tf_efficientnet_lite2", efficientnet_lite, {.width = 1.1, .depth = 1.2, .tf = true}},
    {"tf_efficientnet_lite3", efficientnet_lite, {.width = 1.2, .depth = 1.4, .tf = true}},
    {"tf_efficientnet_lite4", efficientnet_lite, {.width = 1.4, .depth = 1.8, .tf = true}},
    {"tf_efficientnetv2_s", efficientnetv2_s, {.tf = true}},
    {"tf_efficientnetv2_m", efficientnetv2_m, {.tf = true}},
    {"tf_efficientnetv2_l", efficientnetv2_l, {.tf = true}},
    {"tf_efficientnetv2_xl", efficientnetv2_xl, {.tf = true}},
    {"tf_efficientnetv2_b0", efficientnetv2_base, {.tf = true}},
    {"tf_efficientnetv2_b1", efficientnetv2_base, {.depth = 1.1, .tf = true}},
    {"tf_efficientnetv2_b2", efficientnetv2_base, {.width = 1.1, .depth = 1.2, .tf = true}},
    {"tf_efficientnetv2_b3", efficientnetv2_base, {.width = 1.2, .depth = 1.4, .tf = true}},
    {"efficientnet_x_b3", efficientnet_x, {.width = 1.2, .depth = 1.4}},
    {"efficientnet_x_b5", efficientnet_x, {.width = 1.6, .depth = 2.2}},
    {"efficientnet_h_b5", efficientnet_h, {.width = 1.92, .depth = 2.2}},
    {"mixnet_s", mixnet_s},
    {"mixnet_m", mixnet_m},
    {"mixnet_l", mixnet_m, {.width = 1.3}},
    {"mixnet_xl", mixnet_m, {.width = 1.6, .depth = 1.2}},
    {"mixnet_xxl", mixnet_m, {.width = 2.4, .depth = 1.3}},
    {"tf_mixnet_s", mixnet_s, {.tf = true}},
    {"tf_mixnet_m", mixnet_m, {.tf = true}},
    {"tf_mixnet_l", mixnet_m, {.width = 1.3, .tf = true}},
    {"tinynet_a", tinynet, {.depth = 1.2}},
    {"tinynet_b", tinynet, {.width = 0.75, .depth = 1.1}},
    {"tinynet_c", tinynet, {.width = 0.54, .depth = 0.85}},
    {"tinynet_d", tinynet, {.width = 0.54, .depth = 0.695}},
    {"tinynet_e", tinynet, {.width = 0.51, .depth = 0.6}},
    {"mobilenet_edgetpu_100", mobilenet_edgetpu},
    {"mobilenet_edgetpu_v2_xs", mobilenet_edgetpu_v2_xs},
    {"mobilenet_edgetpu_v2_s", mobilenet_edgetpu_v2_s},
    {"mobilenet_edgetpu_v2_m", mobilenet_edgetpu_v2_m},
    {"mobilenet_edgetpu_v2_l", mobilenet_edgetpu_v2_l},
    {"test_efficientnet", test_efficientnet},
    {"test_efficientnet_gn", test_efficientnet, {.norm = group_norm(8)}},
    {"test_efficientnet_ln", test_efficientnet, {.norm = {.kind = Norm::Kind::layer}}},
    {"test_efficientnet_evos", test_efficientnet, {.norm = {.kind = Norm::Kind::evo_s0, .group_size = 8}}},
};
// clang-format on

Network build(std::string_view name, const BuildOptions& options) {
  const Spec spec = scale(find(variants, name), options.pretrained);
  Network network;
  NodeId x = build_trunk(spec, options.in_chans, network);
  const Layers layers(nn::Scope(network.graph), spec.style);
  if (spec.head_channels > 0) x = layers.norm("bn2", layers.conv("conv_head", x, {spec.head_channels}));
  nn::linear_classifier_head(network, layers.scope(), "classifier", x, options.global_pool.value_or("avg"),
                             options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family efficientnet_family{"efficientnet", names_of(variants), build};

}  // namespace wimm
