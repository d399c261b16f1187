// The variants of CoAtNet and MaxViT.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "graph/ops.h"

namespace wimm::maxxvit {

// conv: an inverted bottleneck, or ConvNeXt's block; transformer: attention among all tokens; multi_axis: a
// convolutional block, then attention among windows and among grids; parallel: both side by side.
enum class Block : uint8_t { conv, transformer, multi_axis, parallel };

// Of a whole network. coatnet: two stages of convolutions, two of transformers, with `alternating` both in the latter.
enum class Kind : uint8_t { coatnet, alternating, multi_axis, parallel };

// The blocks of a stage, the last of them repeated.
inline std::vector<Block> blocks_of(Kind kind, int64_t stage) {
  switch (kind) {
    case Kind::multi_axis:
      return {Block::multi_axis};
    case Kind::parallel:
      return {Block::parallel};
    case Kind::alternating:
    case Kind::coatnet:
      break;
  }
  if (stage < 2) return {Block::conv};
  if (kind == Kind::alternating) return {Block::conv, Block::transformer};
  return {Block::transformer};
}

// A variant; each function gives it one more property.
struct Spec {
  Kind kind = Kind::coatnet;
  std::array<int64_t, 4> channels, depths;
  std::array<int64_t, 2> stem;
  int64_t img_size = 224;
  int64_t head_hidden = 0, head_channels = 32;
  int64_t position_mlp = 0;  // hidden channels of an MLP that computes biases of attention; 0: they are learned
  bool tf = false;           // TensorFlow's padding, epsilons, order of heads and table of biases
  bool stem_bias = false, convnext = false, grid_only = false, layer_scale = false, batch_norm = false;
  // Of inverted bottlenecks (and expand_output of transformers: attention in the block's output channels).
  bool expand_output = true, output_bias = true, pre_norm_act = false, stride_by_pool = false, squeeze_early = false;
  double squeeze_ratio = 0.25;
  Activation squeeze_activation = Activation::silu, conv_activation = Activation::gelu;
  bool max_pool = false, shortcut_bias = true;
  Activation activation = Activation::gelu;  // of MLPs

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec at(int64_t size) const { return with(&Spec::img_size, size); }
  constexpr Spec head(int64_t hidden) const { return with(&Spec::head_hidden, hidden); }
  constexpr Spec rmlp(int64_t hidden = 512) const { return with(&Spec::position_mlp, hidden); }
  constexpr Spec ls() const { return with(&Spec::layer_scale, true); }
  constexpr Spec bias() const { return with(&Spec::output_bias, true); }
  constexpr Spec se(double ratio) const { return with(&Spec::squeeze_ratio, ratio); }
  constexpr Spec se_act(Activation value) const { return with(&Spec::squeeze_activation, value); }
  constexpr Spec dw() const { return with(&Spec::stride_by_pool, false); }
  constexpr Spec pool() const { return with(&Spec::stride_by_pool, true); }
  constexpr Spec early() const { return with(&Spec::squeeze_early, true).with(&Spec::shortcut_bias, false); }
  constexpr Spec blocks(Kind value) const { return with(&Spec::kind, value); }

  // The configurations that timm derives its own from: `_rw_max_cfg`, `_rw_coat_cfg`, `_next_cfg`, `_tf_cfg`.
  constexpr Spec rw_max() const {
    Spec spec = *this;
    spec.expand_output = spec.output_bias = false;
    spec.squeeze_ratio = 1.0 / 16;
    spec.conv_activation = Activation::silu;
    return spec;
  }
  constexpr Spec rw_coat() const {
    Spec spec = rw_max().se(0.25).se_act(Activation::relu).pool();
    spec.pre_norm_act = true;
    return spec;
  }
  constexpr Spec next() const { return with(&Spec::convnext, true).with(&Spec::expand_output, false); }
  constexpr Spec tensorflow() const {
    Spec spec = *this;
    spec.tf = spec.stem_bias = true;
    spec.activation = spec.conv_activation = Activation::gelu_tanh;
    return spec.blocks(Kind::multi_axis);
  }
};

using Depths = std::array<int64_t, 4>;

constexpr Spec wide(int64_t channels, Depths depths, int64_t stem1, int64_t stem2) {
  return {.channels = {channels, 2 * channels, 4 * channels, 8 * channels}, .depths = depths, .stem = {stem1, stem2}};
}
constexpr Spec max(int64_t channels, Depths depths, int64_t stem1, int64_t stem2) {
  return wide(channels, depths, stem1, stem2).rw_max().blocks(Kind::multi_axis);
}
constexpr Spec maxx(int64_t channels, Depths depths, int64_t stem1, int64_t stem2) {
  return wide(channels, depths, stem1, stem2).next().rmlp().ls().blocks(Kind::multi_axis);
}
constexpr Spec maxx2(int64_t channels, Depths depths, int64_t stem1, int64_t stem2) {
  return maxx(channels, depths, stem1, stem2).with(&Spec::grid_only, true);
}
constexpr Spec tf(int64_t channels, Depths depths, int64_t stem) {
  return wide(channels, depths, stem, stem).tensorflow().head(8 * channels);
}

constexpr Depths pico{2, 3, 5, 2}, nano{3, 4, 6, 3}, small{2, 3, 7, 2}, base{2, 6, 14, 2}, max_nano{1, 2, 3, 1},
    max_tiny{2, 2, 5, 2}, deep{2, 12, 28, 2};

constexpr Spec coatnet_pico = wide(64, pico, 32, 64).rw_max().bias().se(0.25),
               coatnet_nano = wide(64, nano, 32, 64).rw_max().bias().se(0.25),
               coatnet_0 = wide(96, small, 32, 64).rw_coat(), coatnet_1 = wide(96, base, 32, 64).rw_coat(),
               coatnet_2 = wide(128, base, 64, 128).rw_coat().dw().se_act(Activation::silu),
               coatnet_3 = wide(192, base, 96, 192).rw_coat().dw().se_act(Activation::silu).ls(),
               rmlp_2 = coatnet_2.ls().rmlp();
constexpr Spec maxvit_tiny = max(64, max_tiny, 32, 64), maxvit_nano = max(64, max_nano, 32, 64),
               maxvit_pico = max(32, max_tiny, 24, 32), maxvit_small = max(96, max_tiny, 32, 64).rmlp().ls(),
               maxvit_base = max(96, base, 32, 64).rmlp().head(768);
constexpr Spec maxx2_base = maxx2(128, {2, 6, 12, 2}, 64, 128);
constexpr Spec tf_tiny = tf(64, max_tiny, 64), tf_small = tf(96, max_tiny, 64), tf_base = tf(96, base, 64),
               tf_large = tf(128, base, 128), tf_xlarge = tf(192, base, 192);

constexpr Spec with_channels(const Spec& spec, std::array<int64_t, 4> channels) {
  return spec.with(&Spec::channels, channels);
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"coatnet_pico_rw_224", coatnet_pico},
    {"coatnet_nano_rw_224", coatnet_nano.pool()},
    {"coatnet_0_rw_224", coatnet_0.early()},
    {"coatnet_1_rw_224", coatnet_1.dw().early()},
    {"coatnet_2_rw_224", coatnet_2},
    {"coatnet_3_rw_224", coatnet_3},
    {"coatnet_bn_0_rw_224", coatnet_0.dw().early().with(&Spec::batch_norm, true)},
    {"coatnet_rmlp_nano_rw_224", coatnet_nano.rmlp(384)},
    {"coatnet_rmlp_0_rw_224", coatnet_0.dw().rmlp()},
    {"coatnet_rmlp_1_rw_224", coatnet_1.early().with(&Spec::max_pool, true).rmlp(384)},
    {"coatnet_rmlp_1_rw2_224", coatnet_1.dw().rmlp()},
    {"coatnet_rmlp_2_rw_224", rmlp_2},
    {"coatnet_rmlp_2_rw_384", rmlp_2.at(384)},
    {"coatnet_rmlp_3_rw_224", coatnet_3.rmlp()},
    {"coatnet_nano_cc_224", wide(64, nano, 32, 64).rw_coat().blocks(Kind::alternating)},
    {"coatnext_nano_rw_224", wide(64, nano, 32, 64).next()},
    {"coatnet_0_224", wide(96, pico, 64, 64).head(768)},
    {"coatnet_1_224", wide(96, base, 64, 64).head(768)},
    {"coatnet_2_224", wide(128, base, 128, 128).head(1024)},
    {"coatnet_3_224", wide(192, base, 192, 192).head(1536)},
    {"coatnet_4_224", wide(192, deep, 192, 192).head(1536)},
    {"coatnet_5_224", with_channels(wide(256, deep, 192, 192).head(2048), {256, 512, 1280, 2048})},
    {"maxvit_pico_rw_256", maxvit_pico.at(256)},
    {"maxvit_nano_rw_256", maxvit_nano.at(256)},
    {"maxvit_tiny_rw_224", maxvit_tiny},
    {"maxvit_tiny_rw_256", maxvit_tiny.at(256)},
    {"maxvit_rmlp_pico_rw_256", maxvit_pico.rmlp().at(256)},
    {"maxvit_rmlp_nano_rw_256", maxvit_nano.rmlp().at(256)},
    {"maxvit_rmlp_tiny_rw_256", maxvit_tiny.rmlp().at(256)},
    {"maxvit_rmlp_small_rw_224", maxvit_small},
    {"maxvit_rmlp_small_rw_256", maxvit_small.at(256)},
    {"maxvit_rmlp_base_rw_224", maxvit_base},
    {"maxvit_rmlp_base_rw_384", maxvit_base.at(384)},
    {"maxvit_tiny_pm_256", maxvit_tiny.blocks(Kind::parallel).at(256)},
    {"maxxvit_rmlp_nano_rw_256", maxx(64, max_nano, 32, 64).at(256)},
    {"maxxvit_rmlp_tiny_rw_256", maxx(64, max_tiny, 32, 64).at(256)},
    {"maxxvit_rmlp_small_rw_256", maxx(96, max_tiny, 48, 96).at(256)},
    {"maxxvitv2_nano_rw_256", maxx2(96, max_nano, 48, 96).rmlp(0).at(256)},
    {"maxxvitv2_rmlp_base_rw_224", maxx2_base},
    {"maxxvitv2_rmlp_base_rw_384", maxx2_base.at(384)},
    {"maxxvitv2_rmlp_large_rw_224", maxx2(160, {2, 6, 16, 2}, 80, 160).head(1280)},
    {"maxvit_tiny_tf_224", tf_tiny},
    {"maxvit_tiny_tf_384", tf_tiny.at(384)},
    {"maxvit_tiny_tf_512", tf_tiny.at(512)},
    {"maxvit_small_tf_224", tf_small},
    {"maxvit_small_tf_384", tf_small.at(384)},
    {"maxvit_small_tf_512", tf_small.at(512)},
    {"maxvit_base_tf_224", tf_base},
    {"maxvit_base_tf_384", tf_base.at(384)},
    {"maxvit_base_tf_512", tf_base.at(512)},
    {"maxvit_large_tf_224", tf_large},
    {"maxvit_large_tf_384", tf_large.at(384)},
    {"maxvit_large_tf_512", tf_large.at(512)},
    {"maxvit_xlarge_tf_224", tf_xlarge},
    {"maxvit_xlarge_tf_384", tf_xlarge.at(384)},
    {"maxvit_xlarge_tf_512", tf_xlarge.at(512)},
    {"test_maxvit", with_channels(max(32, {1, 1, 1, 1}, 16, 32), {32, 64, 96, 128}).at(160)},
    {"test_coatnet", with_channels(wide(32, {1, 1, 2, 1}, 16, 32).rw_max().bias().se(0.25).pool(), {32, 64, 96, 128}).at(160)},
};
// clang-format on

}  // namespace wimm::maxxvit
