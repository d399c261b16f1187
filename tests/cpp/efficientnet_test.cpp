// Block strings of the EfficientNet families: what they mean, and how they scale. Expected values are timm's.
#include <doctest/doctest.h>

#include "models/efficientnet_builder.h"
#include "wimm/error.h"

namespace wimm::efficientnet {
namespace {

using Counts = std::vector<size_t>;
using Sides = std::vector<int64_t>;

BlockArgs decode(std::string_view text) { return decode_stages({.stages = {text}}, {}).at(0).at(0); }

Counts depths(const Architecture& architecture, double depth) {
  Counts counts;
  for (const Stage& stage : decode_stages(architecture, {.depth = depth})) counts.push_back(stage.size());
  return counts;
}

Sides kernels(std::string_view text, double depth) {
  const std::vector<Stage> stages = decode_stages({.stages = {text}}, {.depth = depth});
  Sides sides;
  for (const BlockArgs& args : stages.at(0)) sides.push_back(args.kernels.at(0));
  return sides;
}

constexpr Architecture b0{.stages = {"ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24", "ir_r2_k5_s2_e6_c40",
                                     "ir_r3_k3_s2_e6_c80", "ir_r3_k5_s1_e6_c112", "ir_r4_k5_s2_e6_c192",
                                     "ir_r1_k3_s1_e6_c320"}};

TEST_CASE("an inverted residual's options may stand in any order") {
  const BlockArgs args = decode("ir_r1_c40_se0.5_k3.5_nsw_a1.1_e6_p1.1_s2_cc4");
  CHECK(args.type == BlockType::inverted_residual);
  CHECK(args.kernels == Sides{3, 5});
  CHECK(args.start_kernels == Sides{1, 1});
  CHECK(args.end_kernels == Sides{1, 1});
  CHECK(args.stride == 2);
  CHECK(args.expansion == 6);
  CHECK(args.squeeze_ratio == 0.5);
  CHECK(args.out_channels == 40);
  CHECK(args.experts == 4);
  CHECK(args.activation == Activation::silu);
  CHECK(args.group_size == 1);
  CHECK(args.residual);
}

TEST_CASE("types differ in their residual connection, groups and last activation") {
  CHECK_FALSE(decode("ir_r1_k3_s1_e6_c96_noskip").residual);
  CHECK_FALSE(decode("dsa_r1_k3_s1_c64").residual);
  CHECK(decode("dsa_r1_k3_s1_c64").activate_last);
  CHECK_FALSE(decode("cn_r1_k1_s1_c960").residual);
  CHECK(decode("cn_r1_k1_s1_c960_skip").residual);
  CHECK(decode("er_r1_k3_s1_e4_c32").group_size == 0);
  CHECK(decode("er_r1_k3_s1_e4_gs64_c32").group_size == 64);
  CHECK(decode("uir_r1_a3_k0_s1_e4_c96").start_kernels == Sides{3});
  CHECK(decode("uir_r1_a3_k0_s1_e4_c96").kernels == Sides{0});
  CHECK(decode("mqa_r1_k3_h4_s1_v2_d64_c160").key_dim == 64);
  CHECK(decode("mqa_r1_k3_h4_s1_v2_d64_c160").kv_stride == 2);
}

TEST_CASE("depth grows stage by stage, rounded up or to the nearest count") {
  CHECK(depths(b0, 3.1) == Counts{4, 7, 7, 10, 10, 13, 4});
  Architecture rounded = b0, ends = b0;
  rounded.round_depth = true;
  ends.fixed_ends = true;
  CHECK(depths(rounded, 0.6) == Counts{1, 1, 1, 2, 2, 2, 1});
  CHECK(depths(ends, 1.8) == Counts{1, 4, 4, 6, 6, 8, 1});
}

TEST_CASE("the blocks of a mixed stage are repeated in proportion, later ones first") {
  constexpr std::string_view stage = "ir_r1_k3_s1_e3_c24 ir_r3_k5_s1_e6_c24 ir_r4_k7_s1_e6_c24";
  CHECK(kernels(stage, 1.3) == Sides{3, 5, 5, 5, 5, 7, 7, 7, 7, 7, 7});
  CHECK(kernels(stage, 2.5) == Sides{3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7});
}

TEST_CASE("scaled channels are rounded to multiples of eight, seldom below nine tenths") {
  CHECK(ChannelRounding{.multiplier = 1.1}(320) == 352);
  CHECK(ChannelRounding{.multiplier = 0.35}(24) == 8);
  CHECK(ChannelRounding{.multiplier = 0.54}(16) == 8);
  CHECK(ChannelRounding{.multiplier = 1.2}(1280) == 1536);
  CHECK(ChannelRounding{.multiplier = 1.92}(40) == 80);
}

TEST_CASE("a block string that cannot be read is refused") {
  CHECK_THROWS_AS(decode("xx_r1_k3_s1_c16"), Error);
  CHECK_THROWS_AS(decode("ir_r1_k3_s1_c16_nxx"), Error);
  CHECK_THROWS_AS(decode("ir_r1_k3.x_s1_c16"), Error);
}

}  // namespace
}  // namespace wimm::efficientnet
