// RegNet X, Y, Z, and the pre-activated V (timm/models/regnet.py).
// Papers: Designing Network Design Spaces arXiv 2003.13678, Fast and Accurate Model Scaling (Z) 2103.06877.
#include <algorithm>
#include <cmath>
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

// How the input of a block that changes its shape joins the result: projected, pooled and projected, or not at all.
enum class Downsample : uint8_t { conv, avg, none };

// A variant; each function gives it one more property.
struct Spec {
  int64_t depth;                      // blocks of all stages
  int64_t width;                      // of the first block
  double slope, mult;                 // widths grow by `slope` a block, rounded to width · multⁿ
  int64_t group_size;                 // channels of a group
  bool torchvision_rounding = false;  // of widths to multiples of the group size
  bool squeeze_excite = false;        // from a quarter of the block's input channels
  bool preact = false;                // norm and activation before each convolution
  bool linear_out = false;            // no activation after a block
  int64_t bottle_ratio = 1;           // a block's inner channels to its outer ones
  Downsample downsample = Downsample::conv;
  int64_t num_features = 0;  // of a last convolution, where there is one
  nn::NormAct norm_act{};

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec tv() const { return with(&Spec::torchvision_rounding, true); }
  constexpr Spec silu(nn::Norm norm = nn::Norm::batch) const {
    return with(&Spec::norm_act, nn::NormAct{.activation = Activation::silu, .norm = norm});
  }
  constexpr Spec v(Downsample downsample) const {
    return silu().with(&Spec::preact, true).with(&Spec::downsample, downsample);
  }
};

constexpr Spec x(int64_t depth, int64_t width, double slope, double mult, int64_t group_size) {
  return {.depth = depth, .width = width, .slope = slope, .mult = mult, .group_size = group_size};
}

constexpr Spec y(int64_t depth, int64_t width, double slope, double mult, int64_t group_size) {
  return x(depth, width, slope, mult, group_size).with(&Spec::squeeze_excite, true);
}

constexpr Spec z(int64_t depth, int64_t width, double slope, double mult, int64_t group_size, int64_t num_features) {
  Spec spec = y(depth, width, slope, mult, group_size).silu();
  spec.linear_out = true;
  spec.bottle_ratio = 4;
  spec.downsample = Downsample::none;
  spec.num_features = num_features;
  return spec;
}

struct Stage {
  int64_t depth, channels, group_size;
};

// `value` rounded to the nearest multiple of `quantum`, halves to even.
int64_t quantize(double value, int64_t quantum) {
  return static_cast<int64_t>(std::nearbyint(value / static_cast<double>(quantum))) * quantum;
}

// The width of each block, rounded so that blocks of a width form a stage.
std::vector<Stage> stages(const Spec& spec) {
  std::vector<Stage> stages;
  const auto first = static_cast<double>(spec.width);
  for (int64_t i = 0; i < spec.depth; ++i) {
    const double width = first + static_cast<double>(i) * spec.slope;
    const double exponent = std::nearbyint(std::log(width / first) / std::log(spec.mult));
    const int64_t channels = quantize(first * std::pow(spec.mult, exponent), 8);
    if (stages.empty() || stages.back().channels != channels) stages.push_back({0, channels, spec.group_size});
    ++stages.back().depth;
  }
  for (Stage& stage : stages) {
    const int64_t inner = stage.channels * spec.bottle_ratio;
    stage.group_size = std::min(stage.group_size, inner);
    const auto exact = static_cast<double>(inner);
    stage.channels =
        (spec.torchvision_rounding ? nn::make_divisible(exact, stage.group_size) : quantize(exact, stage.group_size)) /
        spec.bottle_ratio;
  }
  return stages;
}

struct Builder {
  const Spec& spec;
  Scope root;

  NodeId conv(const Scope& scope, std::string_view name, NodeId x, const nn::ConvOptions& options) const {
    return nn::conv_norm_act(scope, name, x, options, spec.norm_act);
  }

  NodeId linear_conv(const Scope& scope, std::string_view name, NodeId x, const nn::ConvOptions& options) const {
    nn::NormAct norm = spec.norm_act;
    norm.activation = Activation::identity;
    return nn::conv_norm_act(scope, name, x, options, norm);
  }

  NodeId activate(const Scope& scope, std::string_view name, NodeId x) const {
    return scope.activate(name, x, spec.norm_act.activation);
  }

  NodeId stem(NodeId x) const {
    const nn::ConvOptions options{.out_channels = 32, .kernel = 3, .stride = 2, .padding = nn::padding(1)};
    return spec.preact ? root.conv2d("stem", x, options) : conv(root, "stem", x, options);
  }

  NodeId attention(const Scope& scope, NodeId x, int64_t in_channels) const {
    if (!spec.squeeze_excite) return x;
    const int64_t reduced = quantize(static_cast<double>(in_channels) / 4, 1);
    return nn::squeeze_excite(scope["se"], x, {.reduced_channels = reduced, .activation = spec.norm_act.activation});
  }

  // x + shortcut(input)
  NodeId join(const Scope& scope, NodeId x, NodeId input, int64_t stride) const {
    const int64_t channels = root.channels(x);
    if (stride > 1 || root.channels(input) != channels) {
      const nn::ConvOptions options{.out_channels = channels, .stride = stride};
      switch (spec.downsample) {
        case Downsample::none:
          return x;
        case Downsample::avg: {
          const Scope downsample = scope["downsample"];
          input = downsample.avg_pool(
              "0", input,
              {.kernel = {2, 2}, .stride = {stride, stride}, .ceil_mode = true, .count_include_pad = false});
          input = downsample.conv2d("1", input, {.out_channels = channels});
          break;
        }
        case Downsample::conv:
          input = spec.preact ? scope.conv2d("downsample", input, options)
                              : linear_conv(scope, "downsample", input, options);
          break;
      }
    }
    return scope.add(x, input);
  }

  static nn::ConvOptions grouped(const Stage& stage, int64_t channels, int64_t stride) {
    return {.out_channels = channels,
            .kernel = 3,
            .stride = stride,
            .groups = channels / stage.group_size,
            .padding = nn::padding(1)};
  }

  NodeId bottleneck(const Scope& scope, NodeId input, const Stage& stage, int64_t stride) const {
    const int64_t inner = stage.channels * spec.bottle_ratio;
    NodeId x = conv(scope, "conv1", input, {.out_channels = inner});
    x = conv(scope, "conv2", x, grouped(stage, inner, stride));
    x = attention(scope, x, root.channels(input));
    x = join(scope, linear_conv(scope, "conv3", x, {.out_channels = stage.channels}), input, stride);
    return spec.linear_out ? x : activate(scope, "act3", x);
  }

  NodeId pre_bottleneck(const Scope& scope, NodeId input, const Stage& stage, int64_t stride) const {
    const int64_t inner = stage.channels * spec.bottle_ratio;
    input = nn::norm_act(scope, "norm1", input, spec.norm_act);
    NodeId x = scope.conv2d("conv1", input, {.out_channels = inner});
    x = nn::norm_act(scope, "norm2", x, spec.norm_act);
    x = scope.conv2d("conv2", x, grouped(stage, inner, stride));
    x = attention(scope, x, root.channels(input));
    x = nn::norm_act(scope, "norm3", x, spec.norm_act);
    return join(scope, scope.conv2d("conv3", x, {.out_channels = stage.channels}), input, stride);
  }

  NodeId final_conv(NodeId x) const {
    if (spec.num_features > 0) return conv(root, "final_conv", x, {.out_channels = spec.num_features});
    return spec.linear_out || spec.preact ? activate(root, "final_conv", x) : x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  const Scope& root = builder.root;

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(network.input);
  int64_t reduction = 2, index = 0;
  network.add_level(x, reduction, "stem");
  for (const Stage& stage : stages(spec)) {
    const std::string name = "s" + std::to_string(++index);
    for (int64_t i = 1; i <= stage.depth; ++i) {
      const Scope block = root[name]["b" + std::to_string(i)];
      const int64_t stride = i == 1 ? 2 : 1;
      x = spec.preact ? builder.pre_bottleneck(block, x, stage, stride) : builder.bottleneck(block, x, stage, stride);
    }
    network.add_level(x, reduction *= 2, name);
  }
  nn::classifier_head(network, root["head"], builder.final_conv(x), options.global_pool.value_or("avg"),
                      options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"regnetx_002", x(13, 24, 36.44, 2.49, 8)},
    {"regnetx_004", x(22, 24, 24.48, 2.54, 16)},
    {"regnetx_004_tv", x(22, 24, 24.48, 2.54, 16).tv()},
    {"regnetx_006", x(16, 48, 36.97, 2.24, 24)},
    {"regnetx_008", x(16, 56, 35.73, 2.28, 16)},
    {"regnetx_016", x(18, 80, 34.01, 2.25, 24)},
    {"regnetx_032", x(25, 88, 26.31, 2.25, 48)},
    {"regnetx_040", x(23, 96, 38.65, 2.43, 40)},
    {"regnetx_064", x(17, 184, 60.83, 2.07, 56)},
    {"regnetx_080", x(23, 80, 49.56, 2.88, 120)},
    {"regnetx_120", x(19, 168, 73.36, 2.37, 112)},
    {"regnetx_160", x(22, 216, 55.59, 2.1, 128)},
    {"regnetx_320", x(23, 320, 69.86, 2.0, 168)},
    {"regnety_002", y(13, 24, 36.44, 2.49, 8)},
    {"regnety_004", y(16, 48, 27.89, 2.09, 8)},
    {"regnety_006", y(15, 48, 32.54, 2.32, 16)},
    {"regnety_008", y(14, 56, 38.84, 2.4, 16)},
    {"regnety_008_tv", y(14, 56, 38.84, 2.4, 16).tv()},
    {"regnety_016", y(27, 48, 20.71, 2.65, 24)},
    {"regnety_032", y(21, 80, 42.63, 2.66, 24)},
    {"regnety_040", y(22, 96, 31.41, 2.24, 64)},
    {"regnety_040_sgn", y(22, 96, 31.41, 2.24, 64).silu(nn::Norm::groups_of_16)},
    {"regnety_064", y(25, 112, 33.22, 2.27, 72)},
    {"regnety_080", y(17, 192, 76.82, 2.19, 56)},
    {"regnety_080_tv", y(17, 192, 76.82, 2.19, 56).tv()},
    {"regnety_120", y(19, 168, 73.36, 2.37, 112)},
    {"regnety_160", y(18, 200, 106.23, 2.48, 112)},
    {"regnety_320", y(20, 232, 115.89, 2.53, 232)},
    {"regnety_640", y(20, 352, 147.48, 2.4, 328)},
    {"regnety_1280", y(27, 456, 160.83, 2.52, 264)},
    {"regnety_2560", y(27, 640, 230.83, 2.53, 373)},
    {"regnetv_040", y(22, 96, 31.41, 2.24, 64).v(Downsample::conv)},
    {"regnetv_064", y(25, 112, 33.22, 2.27, 72).v(Downsample::avg)},
    {"regnetz_005", z(21, 16, 10.7, 2.51, 4, 1024)},
    {"regnetz_040", z(28, 48, 14.5, 2.226, 8, 0)},
    {"regnetz_040_h", z(28, 48, 14.5, 2.226, 8, 1536)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family regnet_family{"regnet", names_of(variants), build_variant};

}  // namespace wimm
