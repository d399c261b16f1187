// Cross stage partial networks and DarkNet: CSPResNet, CSPResNeXt, CSPDarkNet, CS3DarkNet (timm/models/cspnet.py).
// Papers: CSPNet arXiv 1911.11929, DarkNet-53 1804.02767, in-place activated batch norm 1712.02616.
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

enum class StageType : uint8_t { dark, cross, cross3 };  // timm's "dark", "csp", "cs3"
enum class BlockType : uint8_t { bottleneck, dark, edge };

// Channels of a stage's blocks and of its expansion, and of a block's middle, relative to their outputs.
struct Ratios {
  double block = 1, bottle = 1, expand = 1;
};

// A variant; each function gives it one more property.
struct Spec {
  std::array<int64_t, 3> stem_channels;  // of its convolutions; 0: none
  int64_t stem_kernel = 3, stem_stride = 2;
  bool stem_pool = false;
  std::array<int64_t, 5> depths, channels;  // by stage; 0: none
  std::array<int64_t, 5> groups{1, 1, 1, 1, 1};
  int64_t first_stride = 2;  // of the first stage
  StageType stage = StageType::cross;
  BlockType block = BlockType::bottleneck;
  Ratios ratios{};
  std::optional<Ratios> first_ratios{};  // of the first stage, where they differ
  bool cross_linear = false;             // the expansion has no activation
  bool down_growth = false;              // the downsampling convolution widens
  bool avg_down = false;                 // pooling and a 1×1 convolution in its place
  double se_ratio = 0;                   // 0: no squeeze-and-excitation
  nn::NormAct norm_act{.activation = Activation::leaky_relu};
  bool last_level = true;  // by default the feature levels are all, the last one included

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec se(double ratio = 1.0 / 16) const { return with(&Spec::se_ratio, ratio); }
  constexpr Spec iabn() const {
    Spec spec = *this;
    spec.norm_act.norm = nn::Norm::inplace;
    return spec;
  }
};

constexpr Spec csp_resnet(std::array<int64_t, 3> stem_channels, int64_t width, Ratios ratios) {
  return {.stem_channels = stem_channels,
          .stem_kernel = stem_channels[1] == 0 ? 7 : 3,
          .stem_pool = true,
          .depths = {3, 3, 5, 2},
          .channels = {width, 2 * width, 4 * width, 8 * width},
          .first_stride = 1,
          .ratios = ratios,
          .cross_linear = true};
}

constexpr Spec csp_resnext(int64_t groups) {
  return csp_resnet({64}, 256, {.block = 0.5}).with(&Spec::groups, std::array{groups, groups, groups, groups, groups});
}

constexpr Spec darknet(std::array<int64_t, 5> depths) {
  return {.stem_channels = {32},
          .stem_stride = 1,
          .depths = depths,
          .channels = {64, 128, 256, 512, 1024},
          .stage = StageType::dark,
          .block = BlockType::dark,
          .ratios = {.bottle = 0.5}};
}

constexpr Spec csp_darknet(std::array<int64_t, 5> depths) {
  return darknet(depths)
      .with(&Spec::stage, StageType::cross)
      .with(&Spec::first_ratios, std::optional(Ratios{.bottle = 0.5, .expand = 2}))
      .with(&Spec::ratios, Ratios{.block = 0.5})
      .with(&Spec::down_growth, true);
}

// Three-convolution cross stages, scaled in width and depth.
constexpr Spec cs3(double width, double depth) {
  const auto wide = [=](int64_t channels) { return static_cast<int64_t>(static_cast<double>(channels) * width); };
  const auto deep = [=](int64_t blocks) { return static_cast<int64_t>(static_cast<double>(blocks) * depth); };
  return {.stem_channels = {wide(32), wide(64)},
          .depths = {deep(3), deep(6), deep(9), deep(3)},
          .channels = {wide(128), wide(256), wide(512), wide(1024)},
          .stage = StageType::cross3,
          .block = BlockType::dark,
          .ratios = {.block = 0.5},
          .norm_act = {.activation = Activation::silu}};
}

constexpr Spec cs3_focus(double width, double depth) {
  const Spec spec = cs3(width, depth);
  return spec.with(&Spec::stem_channels, std::array<int64_t, 3>{spec.stem_channels[1]}).with(&Spec::stem_kernel, 6);
}

constexpr Spec cs3_edge(double width, double depth) {
  return cs3(width, depth).with(&Spec::block, BlockType::edge).with(&Spec::ratios, Ratios{.block = 0.5, .bottle = 1.5});
}

constexpr Spec cs3_xdw() {
  return {.stem_channels = {32, 64},
          .depths = {3, 6, 12, 4},
          .channels = {256, 512, 1024, 2048},
          .groups = {1, 1, 256, 512},
          .ratios = {.block = 0.5, .bottle = 0.5},
          .norm_act = {.activation = Activation::silu}};
}

int64_t scaled(int64_t channels, double ratio) { return std::lround(static_cast<double>(channels) * ratio); }

struct Builder {
  const Spec& spec;
  Scope root;

  NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, bool activate = true) const {
    nn::NormAct norm_act = spec.norm_act;
    if (!activate) norm_act.activation = Activation::identity;
    return conv_norm_act(scope, name, x, {.out_channels = channels}, norm_act);
  }

  NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t groups = 1,
                 int64_t stride = 1) const {
    return conv_norm_act(
        scope, name, x,
        {.out_channels = channels, .kernel = 3, .stride = stride, .groups = groups, .padding = nn::padding(1)},
        spec.norm_act);
  }

  NodeId attention(const Scope& scope, NodeId x) const {
    if (spec.se_ratio == 0) return x;
    const double reduced = static_cast<double>(scope.channels(x)) * spec.se_ratio;
    return nn::squeeze_excite(
        scope, x, {.reduced_channels = nn::make_divisible(reduced, 8, 0, 0), .activation = spec.norm_act.activation});
  }

  // The stem's convolutions, whose last one is the first level of feature_info.
  NodeId stem(Network& network) const {
    const Scope scope = root["stem"];
    NodeId x = network.input;
    std::string name;
    for (size_t i = 0; i < spec.stem_channels.size() && spec.stem_channels[i] > 0; ++i) {
      name = "conv" + std::to_string(i + 1);
      x = conv_norm_act(scope, name, x,
                        {.out_channels = spec.stem_channels[i],
                         .kernel = spec.stem_kernel,
                         .stride = i == 0 ? spec.stem_stride : 1,
                         .padding = nn::padding((spec.stem_kernel - 1) / 2)},
                        spec.norm_act);
    }
    network.add_level(x, spec.stem_stride, scope[name].path());
    if (!spec.stem_pool) return x;
    return scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
  }

  NodeId block(const Scope& scope, NodeId x, int64_t channels, int64_t groups, const Ratios& ratios) const {
    const int64_t middle = scaled(channels, ratios.bottle);
    switch (spec.block) {
      case BlockType::bottleneck: {
        NodeId y = conv(scope, "conv1", x, middle);
        y = conv3x3(scope, "conv2", y, middle, groups);
        y = conv(scope, "conv3", attention(scope["attn2"], y), channels, false);
        return scope.activate("act3", scope.add(y, x), spec.norm_act.activation);
      }
      case BlockType::dark: {
        const NodeId y = attention(scope["attn"], conv(scope, "conv1", x, middle));
        return scope.add(conv3x3(scope, "conv2", y, channels, groups), x);
      }
      case BlockType::edge: {
        const NodeId y = attention(scope["attn"], conv3x3(scope, "conv1", x, middle, groups));
        return scope.add(conv(scope, "conv2", y, channels), x);
      }
    }
    return x;
  }

  NodeId downsample(const Scope& scope, NodeId x, int64_t channels, int64_t groups) const {
    if (!spec.avg_down) return conv3x3(scope, "conv_down", x, channels, groups, 2);
    const Scope down = scope["conv_down"];
    return conv(down, "1", down.avg_pool("0", x, {.kernel = {2, 2}, .stride = {2, 2}}), channels);
  }

  NodeId stage(const Scope& scope, size_t index, NodeId x) const {
    const int64_t channels = spec.channels[index], groups = spec.groups[index];
    const Ratios ratios = index == 0 ? spec.first_ratios.value_or(spec.ratios) : spec.ratios;
    const auto blocks = [&](NodeId y) {
      for (int64_t i = 0; i < spec.depths[index]; ++i) {
        y = block(scope["blocks"][i], y, scaled(channels, ratios.block), groups, ratios);
      }
      return y;
    };
    const bool widens = spec.stage == StageType::dark || spec.down_growth;
    if (index > 0 || spec.first_stride > 1) x = downsample(scope, x, widens ? channels : root.channels(x), groups);
    if (spec.stage == StageType::dark) return blocks(x);

    const int64_t expanded = scaled(channels, ratios.expand), half = expanded / 2;
    x = conv(scope, "conv_exp", x, expanded, !spec.cross_linear);
    const NodeId first = scope.slice(x, 0, half), second = scope.slice(x, half, half);
    if (spec.stage == StageType::cross3) {
      return conv(scope, "conv_transition", scope.concat({blocks(first), second}), channels);
    }
    const NodeId transition = conv(scope, "conv_transition_b", blocks(second), half);
    return conv(scope, "conv_transition", scope.concat({first, transition}), channels);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  const Scope& root = builder.root;

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(network);
  int64_t reduction = spec.stem_stride * (spec.stem_pool ? 2 : 1);
  for (size_t i = 0; i < spec.channels.size() && spec.channels[i] > 0; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, i, x);
    reduction *= i == 0 ? spec.first_stride : 2;
    network.add_level(x, reduction, scope.path());
  }
  if (!spec.last_level) network.out_indices = {0, 1, 2, 3, 4};
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"cspresnet50", csp_resnet({64}, 128, {.bottle = 0.5, .expand = 2})},
    {"cspresnet50d", csp_resnet({32, 32, 64}, 128, {.bottle = 0.5, .expand = 2})},
    {"cspresnet50w", csp_resnet({32, 32, 64}, 256, {.block = 0.5, .bottle = 0.25})},
    {"cspresnext50", csp_resnext(32)},
    {"cspdarknet53", csp_darknet({1, 2, 8, 8, 4})},
    {"darknet17", darknet({1, 1, 1, 1, 1})},
    {"darknet21", darknet({1, 1, 1, 2, 2})},
    {"sedarknet21", darknet({1, 1, 1, 2, 2}).se().with(&Spec::last_level, false)},
    {"darknet53", darknet({1, 2, 8, 8, 4})},
    {"darknetaa53", darknet({1, 2, 8, 8, 4}).with(&Spec::avg_down, true)},
    {"cs3darknet_s", cs3(0.5, 0.5)},
    {"cs3darknet_m", cs3(0.75, 0.67)},
    {"cs3darknet_l", cs3(1, 1)},
    {"cs3darknet_x", cs3(1.25, 1.33)},
    {"cs3darknet_focus_s", cs3_focus(0.5, 0.5)},
    {"cs3darknet_focus_m", cs3_focus(0.75, 0.67)},
    {"cs3darknet_focus_l", cs3_focus(1, 1)},
    {"cs3darknet_focus_x", cs3_focus(1.25, 1.33)},
    {"cs3sedarknet_l", cs3(1, 1).se(0.25)},
    {"cs3sedarknet_x", cs3(1.25, 1.33).se()},
    {"cs3sedarknet_xdw", cs3_xdw().se()},
    {"cs3edgenet_x", cs3_edge(1.25, 1.33)},
    {"cs3se_edgenet_x", cs3_edge(1.25, 1.33).se(0.25)},
    // Those of timm 0.3.4 that later releases no longer name.
    {"cspresnext50_iabn", csp_resnext(32).iabn()},
    {"cspdarknet53_iabn", csp_darknet({1, 2, 8, 8, 4}).iabn()},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family cspnet_family{"cspnet", names_of(variants), build_variant};

}  // namespace wimm
