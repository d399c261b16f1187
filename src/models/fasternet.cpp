// FasterNet (timm/models/fasternet.py). Paper: arXiv 2303.03667.
#include <array>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  int64_t channels;
  std::array<int64_t, 4> depths;
  Activation activation = Activation::relu;
};

// A block's layers: timm declares a stage's before the downsampling that comes first.
struct Block {
  Scope scope;
  Conv2d fc1, fc2, mix;
  Affine norm;

  Block(const Scope& scope_, int64_t channels) : scope(scope_) {
    const Scope mlp = scope["mlp"];
    fc1 = mlp.declare_conv2d("0", channels, {.out_channels = 2 * channels});
    norm = mlp.declare_batch_norm("1", 2 * channels);
    fc2 = mlp.declare_conv2d("3", 2 * channels, {.out_channels = channels});
    mix = scope["spatial_mixing"].declare_conv2d(
        "partial_conv3", channels / 4, {.out_channels = channels / 4, .kernel = 3, .padding = nn::padding(1)});
  }

  NodeId build(NodeId x, Activation activation) const {
    const int64_t channels = scope.channels(x), part = channels / 4;
    const Scope mlp = scope["mlp"], mixing = scope["spatial_mixing"];
    const NodeId mixed = mixing["partial_conv3"].node(mix, {mixing.slice(x, 0, part)}, part);
    NodeId y = mixing.concat({mixed, mixing.slice(x, part, channels - part)});
    y = mlp["0"].node(fc1, {y}, 2 * channels);
    y = mlp.activate("2", mlp["1"].node(norm, {y}, 2 * channels), activation);
    return scope.add(mlp["3"].node(fc2, {y}, channels), x);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  const auto patches = [](const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t side) {
    return scope.batch_norm("norm", scope.conv2d(name, x, {.out_channels = channels, .kernel = side, .stride = side}));
  };
  NodeId x = patches(root["patch_embed"], "proj", network.input, spec.channels, 4);
  for (size_t s = 0; s < spec.depths.size(); ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    const int64_t channels = spec.channels << s;
    std::vector<Block> blocks;
    for (int64_t i = 0; i < spec.depths[s]; ++i) blocks.emplace_back(stage["blocks"][i], channels);
    if (s > 0) x = patches(stage["downsample"], "reduction", x, channels, 2);
    for (const Block& block : blocks) x = block.build(x, spec.activation);
    network.add_level(x, 4 << s, stage.path());
  }
  nn::hidden_classifier_head(network, root, "classifier", x, options.global_pool.value_or("avg"), options.num_classes,
                             {.activation = spec.activation});
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"fasternet_t0", {40, {1, 2, 8, 2}, Activation::gelu}},
    {"fasternet_t1", {64, {1, 2, 8, 2}, Activation::gelu}},
    {"fasternet_t2", {96, {1, 2, 8, 2}}},
    {"fasternet_s", {128, {1, 2, 13, 2}}},
    {"fasternet_m", {144, {3, 4, 18, 3}}},
    {"fasternet_l", {192, {3, 4, 18, 3}}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family fasternet_family{"fasternet", names_of(variants), build_variant};

}  // namespace wimm
