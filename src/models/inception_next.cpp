// InceptionNeXt (timm/models/inception_next.py). Paper: arXiv 2303.16900.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 4>;

struct Spec {
  Sizes depths, channels;
  int64_t band = 11;  // the length of the flat kernels
  int64_t parts = 8;  // of the channels, of which each convolution takes one
};

// Depthwise convolutions of three shapes, each on a part of the channels; the others stay as they are.
NodeId mix_tokens(const Scope& scope, NodeId x, const Spec& spec) {
  const int64_t channels = scope.channels(x), part = channels / spec.parts, rest = channels - 3 * part;
  const auto conv = [&](std::string_view name, int64_t begin, nn::Extent kernel) {
    return scope.conv2d(name, scope.slice(x, begin, part),
                        {.out_channels = part,
                         .kernel = kernel,
                         .groups = part,
                         .padding = nn::same_size_padding(kernel),
                         .bias = true});
  };
  const NodeId square = conv("dwconv_hw", rest, 3), flat = conv("dwconv_w", rest + part, {1, spec.band}),
               tall = conv("dwconv_h", rest + 2 * part, {spec.band, 1});
  return scope.concat({scope.slice(x, 0, rest), square, flat, tall});
}

NodeId block(const Scope& scope, NodeId x, const Spec& spec, int64_t expansion) {
  const int64_t channels = scope.channels(x);
  const ParameterId gamma = scope.parameter("gamma", {channels}, Init::layer_scale);
  NodeId y = scope.batch_norm("norm", mix_tokens(scope["token_mixer"], x, spec));
  y = nn::mlp(scope["mlp"], y, {.hidden = expansion * channels, .conv = true});
  return scope.add(scope["gamma"].node(Affine{.weight = gamma}, {y}, channels), x);
}

// Pooling, a hidden layer, its norm, the classifier.
void head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes) {
  if (pool.empty()) throw Error(ErrorCode::invalid_argument, "global pool '': this model's head takes pooled features");
  network.features = x;
  network.num_features = scope.channels(x);
  x = scope.linear("fc1", nn::select_pool(scope, x, pool, num_classes), 3 * scope.channels(x));
  x = scope.layer_norm("norm", scope.activate("act", x, Activation::gelu));
  nn::linear_classifier(network, scope, "fc2", x, num_classes);
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph), stem = root["stem"];
  network.input = root.input(options.in_chans);
  NodeId x =
      stem.conv2d("0", network.input, {.out_channels = spec.channels[0], .kernel = 4, .stride = 4, .bias = true});
  x = stem.batch_norm("1", x);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    if (s > 0) {
      const Scope downsample = stage["downsample"];
      x = downsample.conv2d("1", downsample.batch_norm("0", x),
                            {.out_channels = spec.channels[s], .kernel = 2, .stride = 2, .bias = true});
    }
    for (int64_t i = 0; i < spec.depths[s]; ++i) x = block(stage["blocks"][i], x, spec, s < 3 ? 4 : 3);
    network.add_level(x, 4 << s, stage.path());
  }
  head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"inception_next_atto", {{2, 2, 6, 2}, {40, 80, 160, 320}, 9, 4}},
    {"inception_next_tiny", {{3, 3, 9, 3}, {96, 192, 384, 768}}},
    {"inception_next_small", {{3, 3, 27, 3}, {96, 192, 384, 768}}},
    {"inception_next_base", {{3, 3, 27, 3}, {128, 256, 512, 1024}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family inception_next_family{"inception_next", names_of(variants), build_variant};

}  // namespace wimm
