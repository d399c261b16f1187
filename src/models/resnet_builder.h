// What timm's class ResNet has around its blocks, of whatever kind these are: stem, shortcuts, stages and head.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

#include "models/families.h"
#include "nn/scope.h"

namespace wimm::resnet {

enum class Block : uint8_t { basic, bottleneck };   // whose result has the stage's planes; four times as many
enum class Stem : uint8_t { plain, deep, tiered };  // one 7×7 convolution; three 3×3; three, the first narrower
enum class Norm : uint8_t { batch, group };
enum class Attention : uint8_t { none, squeeze_excite, eca };
enum class AntiAlias : uint8_t { none, average, blur };

// A variant; each function gives it one more property, named after timm's argument or suffix.
struct Spec {
  std::array<Block, 4> blocks;
  std::array<int64_t, 4> layers;
  std::array<int64_t, 4> channels{64, 128, 256, 512};
  Stem stem = Stem::plain;
  int64_t stem_width = 64;
  bool avg_down = false;   // downsampling shortcuts pool, then project
  bool conv_pool = false;  // the stem ends with a convolution instead of max pooling
  int64_t cardinality = 1, base_width = 64;
  int64_t reduce_first = 1, down_kernel = 1;
  Norm norm = Norm::batch;
  Attention attention = Attention::none;
  double se_ratio = 1.0 / 16;
  AntiAlias anti_alias = AntiAlias::none;

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec deep(int64_t width) const { return with(&Spec::stem, Stem::deep).with(&Spec::stem_width, width); }
  constexpr Spec c() const { return deep(32); }
  constexpr Spec d() const { return c().with(&Spec::avg_down, true); }
  constexpr Spec e() const { return deep(64).with(&Spec::avg_down, true); }
  constexpr Spec s() const { return deep(64); }
  constexpr Spec t() const { return d().with(&Spec::stem, Stem::tiered); }
  constexpr Spec rs() const { return d().with(&Spec::conv_pool, true).se(0.25); }
  constexpr Spec groups(int64_t count, int64_t width) const {
    return with(&Spec::cardinality, count).with(&Spec::base_width, width);
  }
  constexpr Spec wide(int64_t width) const { return groups(1, width); }
  constexpr Spec gn() const { return with(&Spec::norm, Norm::group); }
  constexpr Spec se(double ratio = 1.0 / 16) const {
    return with(&Spec::attention, Attention::squeeze_excite).with(&Spec::se_ratio, ratio);
  }
  constexpr Spec eca() const { return with(&Spec::attention, Attention::eca); }
  constexpr Spec aa() const { return with(&Spec::anti_alias, AntiAlias::average); }
  constexpr Spec blur() const { return with(&Spec::anti_alias, AntiAlias::blur); }
};

constexpr Spec basic(int64_t a, int64_t b, int64_t c, int64_t d) {
  return {.blocks = {Block::basic, Block::basic, Block::basic, Block::basic}, .layers = {a, b, c, d}};
}

constexpr Spec bottleneck(int64_t a, int64_t b, int64_t c, int64_t d) {
  return {.blocks = {Block::bottleneck, Block::bottleneck, Block::bottleneck, Block::bottleneck},
          .layers = {a, b, c, d}};
}

// One block: where it stands, and what its stage asks of it.
struct Place {
  nn::Scope scope;
  Block kind;
  size_t index;    // among the blocks of the whole net
  int64_t planes;  // of the stage
  int64_t middle;  // channels between a bottleneck's ends, in all groups
  int64_t stride;  // 1 or 2
  bool project;    // the shortcut is projected
};

// The pieces of a block.
struct Builder {
  const Spec& spec;
  nn::Scope root;

  NodeId norm(const nn::Scope& scope, std::string_view name, NodeId x) const;
  NodeId relu(const nn::Scope& scope, std::string_view name, NodeId x) const;
  NodeId conv3x3(const nn::Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1,
                 int64_t groups = 1) const;
  NodeId conv1x1(const nn::Scope& scope, std::string_view name, NodeId x, int64_t channels) const;
  // The end of a block: its input, projected if need be, added to its result; then the ReLU `act`.
  NodeId add_shortcut(const Place& place, std::string_view act, NodeId result, NodeId input) const;
};

using BuildBlock = std::function<NodeId(const Builder& net, const Place& place, NodeId input)>;

// Stem and stages on x: the last map, and the levels of feature_info.
NodeId build_features(const Builder& net, NodeId x, const BuildBlock& block, std::vector<FeatureInfo>& levels);

Network build(const Spec& spec, const BuildOptions& options, const BuildBlock& block);

}  // namespace wimm::resnet
