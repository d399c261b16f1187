// ResNet v2: pre-activation ResNet, and Big Transfer's with group norm and weight standardisation
// (timm/models/resnetv2.py).
// Papers: pre-activation arXiv 1603.05027, BiT 1912.11370, weight standardisation 1903.10520, EvoNorm 2004.02967,
// filter response norm 1911.09737.
#include "models/resnetv2.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Norm;
using nn::Scope;

enum class Stem : uint8_t { plain, deep, tiered };  // one 7×7 convolution; three 3×3; three, the first narrower
// The stem's pooling pads as PyTorch, with zeros that count (BiT), or as TensorFlow, and so does all else then.
enum class Edges : uint8_t { symmetric, fixed, same };

struct Spec {
  std::array<int64_t, 4> layers;
  std::array<int64_t, 4> channels{256, 512, 1024, 2048};
  int64_t width = 1;      // multiplies the channels
  bool basic = false;     // blocks of two 3×3 convolutions instead of bottlenecks
  bool preact = true;     // normalisation and activation before convolutions
  bool avg_down = false;  // downsampling shortcuts pool, then project
  Stem stem = Stem::plain;
  Edges edges = Edges::symmetric;
  Norm norm = Norm::batch;
  std::optional<double> standardize{};  // the eps of weight standardisation

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec d(Norm norm_layer = Norm::batch) const {
    return with(&Spec::stem, Stem::deep).with(&Spec::avg_down, true).with(&Spec::norm, norm_layer);
  }
  constexpr Spec t() const { return d().with(&Spec::stem, Stem::tiered); }
  constexpr Spec standardized(Edges edge) const {
    return with(&Spec::norm, Norm::group).with(&Spec::standardize, 1e-8).with(&Spec::edges, edge);
  }
  constexpr Spec bit(int64_t factor) const { return standardized(Edges::fixed).with(&Spec::width, factor); }
};

constexpr Spec basic(int64_t a, int64_t b, int64_t c, int64_t d) {
  return {.layers = {a, b, c, d}, .channels = {64, 128, 256, 512}, .basic = true};
}

constexpr Spec bottleneck(int64_t a, int64_t b, int64_t c, int64_t d) { return {.layers = {a, b, c, d}}; }

struct Builder {
  const Spec& spec;

  nn::ConvOptions conv_options(int64_t channels, int64_t kernel, int64_t stride) const {
    const bool same = spec.edges == Edges::same && stride > 1;
    return {.out_channels = channels,
            .kernel = kernel,
            .stride = stride,
            .padding = same ? nn::tf_same : nn::same_size_padding(kernel, stride),
            .standardize = spec.standardize};
  }

  NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t kernel,
              int64_t stride = 1) const {
    return scope.conv2d(name, x, conv_options(channels, kernel, stride));
  }

  NodeId norm_act(const Scope& scope, std::string_view name, NodeId x) const {
    return nn::norm_act(scope, name, x, {.norm = spec.norm});
  }

  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    return nn::norm_act(scope, name, x, {.activation = Activation::identity, .norm = spec.norm});
  }

  // At stride 2, before it is pooled.
  NodeId stem(const Scope& scope, NodeId x) const {
    const int64_t channels = 64 * spec.width;
    if (spec.stem == Stem::plain) {
      x = conv(scope, "conv", x, channels, 7, 2);
      return spec.preact ? x : norm_act(scope, "norm", x);
    }
    x = conv(scope, "conv1", x, spec.stem == Stem::tiered ? 3 * channels / 8 : channels / 2, 3, 2);
    x = conv(scope, "conv2", norm_act(scope, "norm1", x), channels / 2, 3);
    return conv(scope, "conv3", norm_act(scope, "norm2", x), channels, 3);
  }

  NodeId stem_pool(const Scope& scope, NodeId x) const {
    MaxPool pool{.kernel = {3, 3}, .stride = {2, 2}};
    if (spec.edges == Edges::fixed) {
      x = scope["pad"].node(Pad{.padding = nn::padding(1), .mode = Pad::Mode::zeros}, {x}, scope.channels(x));
    } else {
      pool.padding = spec.edges == Edges::same ? nn::tf_same : nn::padding(1);
    }
    return scope.max_pool("pool", x, pool);
  }

  Conv2d declare_shortcut(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    return scope.declare_conv2d("conv", scope.channels(x), conv_options(channels, 1, spec.avg_down ? 1 : stride));
  }

  NodeId shortcut(const Scope& scope, const Conv2d& projection, NodeId x, int64_t stride) const {
    if (spec.avg_down && stride > 1) {
      x = scope.avg_pool("pool", x,
                         {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true, .count_include_pad = false});
    }
    return scope["conv"].node(projection, {x}, projection.out_channels);
  }

  NodeId preact_block(const Scope& scope, NodeId x, int64_t channels, int64_t stride, bool first) const {
    const Scope downsample = scope["downsample"];
    const bool project = first && (!spec.basic || stride > 1 || scope.channels(x) != channels);
    std::optional<Conv2d> projection;
    if (project) projection = declare_shortcut(downsample, x, channels, stride);

    const NodeId active = norm_act(scope, "norm1", x);
    if (projection) x = shortcut(downsample, *projection, active, stride);
    if (spec.basic) {
      const NodeId y = conv(scope, "conv1", active, channels, 3, stride);
      return scope.add(conv(scope, "conv2", norm_act(scope, "norm2", y), channels, 3), x);
    }
    NodeId y = conv(scope, "conv1", active, channels / 4, 1);
    y = conv(scope, "conv2", norm_act(scope, "norm2", y), channels / 4, 3, stride);
    return scope.add(conv(scope, "conv3", norm_act(scope, "norm3", y), channels, 1), x);
  }

  NodeId postact_block(const Scope& scope, NodeId x, int64_t channels, int64_t stride, bool first) const {
    NodeId input = x;
    if (first) {
      const Scope downsample = scope["downsample"];
      input = shortcut(downsample, declare_shortcut(downsample, x, channels, stride), x, stride);
      input = norm(downsample, "norm", input);
    }
    x = norm_act(scope, "norm1", conv(scope, "conv1", x, channels / 4, 1));
    x = norm_act(scope, "norm2", conv(scope, "conv2", x, channels / 4, 3, stride));
    x = norm(scope, "norm3", conv(scope, "conv3", x, channels, 1));
    return scope.activate("act3", scope.add(x, input), Activation::relu);
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    for (int64_t i = 0; i < spec.layers[index]; ++i) {
      const int64_t channels = spec.channels[index] * spec.width, stride = index > 0 && i == 0 ? 2 : 1;
      const Scope block = scope["blocks"][i];
      x = spec.preact ? preact_block(block, x, channels, stride, i == 0)
                      : postact_block(block, x, channels, stride, i == 0);
    }
    return x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph), stem = root["stem"];

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(stem, network.input);
  network.add_level(x, 2, spec.stem == Stem::plain ? "stem.conv" : "stem.conv3");
  x = builder.stem_pool(stem, x);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const Scope stage = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(stage, x, i);
    network.add_level(x, 4 << i, stage.path());
  }

  x = builder.norm_act(root, "norm", x);
  nn::conv_classifier_head(network, root["head"], "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"resnetv2_50x1_bit", bottleneck(3, 4, 6, 3).bit(1)},
    {"resnetv2_50x3_bit", bottleneck(3, 4, 6, 3).bit(3)},
    {"resnetv2_101x1_bit", bottleneck(3, 4, 23, 3).bit(1)},
    {"resnetv2_101x3_bit", bottleneck(3, 4, 23, 3).bit(3)},
    {"resnetv2_152x2_bit", bottleneck(3, 8, 36, 3).bit(2)},
    {"resnetv2_152x4_bit", bottleneck(3, 8, 36, 3).bit(4)},
    {"resnetv2_18", basic(2, 2, 2, 2)},
    {"resnetv2_18d", basic(2, 2, 2, 2).d()},
    {"resnetv2_34", basic(3, 4, 6, 3)},
    {"resnetv2_34d", basic(3, 4, 6, 3).d()},
    {"resnetv2_50", bottleneck(3, 4, 6, 3)},
    {"resnetv2_50d", bottleneck(3, 4, 6, 3).d()},
    {"resnetv2_50t", bottleneck(3, 4, 6, 3).t()},
    {"resnetv2_101", bottleneck(3, 4, 23, 3)},
    {"resnetv2_101d", bottleneck(3, 4, 23, 3).d()},
    {"resnetv2_152", bottleneck(3, 8, 36, 3)},
    {"resnetv2_152d", bottleneck(3, 8, 36, 3).d()},
    {"resnetv2_50d_gn", bottleneck(3, 4, 6, 3).d(Norm::group)},
    {"resnetv2_50d_evos", bottleneck(3, 4, 6, 3).d(Norm::evo_s0)},
    {"resnetv2_50d_frn", bottleneck(3, 4, 6, 3).d(Norm::filter_response)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family resnetv2_family{"resnetv2", names_of(variants), build_variant};

NodeId resnetv2_backbone(const Scope& scope, NodeId x, const std::array<int64_t, 4>& layers) {
  const Spec spec = Spec{.layers = layers, .preact = false}.standardized(Edges::same);
  const Builder builder{spec};
  const bool whole = layers != std::array<int64_t, 4>{};
  const Scope stem = whole ? scope["stem"] : scope;
  x = builder.stem_pool(stem, builder.stem(stem, x));
  for (size_t i = 0; i < layers.size(); ++i) x = builder.stage(scope["stages"][static_cast<int64_t>(i)], x, i);
  return x;
}

}  // namespace wimm
