// MetaFormer baselines: PoolFormer, ConvFormer, CAFormer (timm/models/metaformer.py).
// Papers: arXiv 2111.11418 (PoolFormer), 2210.13452 (MetaFormer baselines).
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;

// What mixes tokens: the means of 3×3 pixels; separable convolutions; those, then attention in the last two stages.
enum class Mixers : uint8_t { pool, conv, conv_then_attention };

struct Spec {
  Mixers mixers;
  std::array<int64_t, 4> depths, channels;
  bool first_version = false;  // PoolFormer as first published: GELU, biases, scales of branches
};

struct Builder {
  const Spec& spec;
  Scope root;

  bool has_head_mlp() const { return spec.mixers != Mixers::pool; }
  bool attends(size_t stage) const { return spec.mixers == Mixers::conv_then_attention && stage >= 2; }

  // Of a block.
  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    if (spec.mixers != Mixers::pool) return nn::unbiased_norm(scope, name, x);
    if (spec.first_version) return scope.group_norm(name, x, 1);
    const ParameterId weight = scope[name].parameter("weight", {scope.channels(x)}, Init::ones);
    return scope[name].node(GroupNorm{1, 1e-6, weight, no_id}, {x}, scope.channels(x));
  }

  NodeId activate(const Scope& scope, std::string_view name, NodeId x) const {
    if (spec.first_version) return scope.activate(name, x, Activation::gelu);
    return nn::star_relu(scope[name], x);
  }

  NodeId scaled(const Scope& scope, std::string_view name, NodeId x) const {
    const ParameterId scale = scope[name].parameter("scale", {scope.channels(x)}, Init::ones);
    return scope[name].node(Affine{.weight = scale}, {x}, scope.channels(x));
  }

  NodeId pool_mixer(const Scope& scope, NodeId x) const {
    const NodeId pooled = scope.avg_pool(
        "pool", x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1), .count_include_pad = false});
    return scope.node(Binary{Binary::Kind::sub}, {pooled, x}, scope.channels(x));
  }

  NodeId conv_mixer(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x), inner = 2 * channels;
    x = activate(scope, "act1", scope.conv2d("pwconv1", x, {.out_channels = inner}));
    x = scope.conv2d("dwconv", x, {.out_channels = inner, .kernel = 7, .groups = inner, .padding = nn::padding(3)});
    return scope.conv2d("pwconv2", x, {.out_channels = channels});
  }

  NodeId mix(const Scope& scope, NodeId x, bool attends) const {
    if (attends) return nn::self_attention(scope, x, {.heads = scope.channels(x) / 32, .proj_bias = false});
    return spec.mixers == Mixers::pool ? pool_mixer(scope, x) : conv_mixer(scope, x);
  }

  NodeId mlp(const Scope& scope, NodeId x, bool linear) const {
    const int64_t channels = scope.channels(x);
    const auto layer = [&](std::string_view name, NodeId value, int64_t out) {
      return linear ? scope.linear(name, value, out, false)
                    : scope.conv2d(name, value, {.out_channels = out, .bias = spec.first_version});
    };
    return layer("fc2", activate(scope, "act", layer("fc1", x, 4 * channels)), channels);
  }

  NodeId block(const Scope& scope, NodeId x, size_t stage) const {
    const bool scales_branches = spec.first_version, scales_residuals = !spec.first_version && stage >= 2;
    const auto add = [&](std::string_view index, NodeId branch) {
      const std::string suffix(index);
      if (scales_branches) branch = scaled(scope, "layer_scale" + suffix, branch);
      x = scope.add(scales_residuals ? scaled(scope, "res_scale" + suffix, x) : x, branch);
    };
    add("1", mix(scope["token_mixer"], norm(scope, "norm1", x), attends(stage)));
    add("2", mlp(scope["mlp"], norm(scope, "norm2", x), attends(stage)));
    return x;
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const int64_t channels = spec.channels[index];
    if (index > 0) {
      const Scope down = scope["downsample"];
      if (!spec.first_version) x = nn::unbiased_norm(down, "norm", x);
      x = down.conv2d("conv", x,
                      {.out_channels = channels, .kernel = 3, .stride = 2, .padding = nn::padding(1), .bias = true});
    }
    const NodeId image = x;
    if (attends(index)) x = nn::to_tokens(scope, x);
    for (int64_t i = 0; i < spec.depths[index]; ++i) x = block(scope["blocks"][i], x, index);
    return attends(index) ? nn::to_image(scope, x, image) : x;
  }

  NodeId stem(NodeId x) const {
    const Scope stem = root["stem"];
    x = stem.conv2d(
        "conv", x,
        {.out_channels = spec.channels[0], .kernel = 7, .stride = 4, .padding = nn::padding(2), .bias = true});
    return spec.first_version ? x : nn::unbiased_norm(stem, "norm", x);
  }

  void head(Network& network, NodeId x, const BuildOptions& options) const {
    const Scope head = root["head"];
    const std::string_view pool = nn::pool_of(options.global_pool, {"avg", "max", "avgmax", ""});
    network.features = x;
    network.num_features = spec.channels[3];
    x = head.layer_norm("norm", nn::select_pool(head, x, pool, options.num_classes));
    if (!has_head_mlp() || options.num_classes == 0)
      return nn::linear_classifier(network, head, "fc", x, options.num_classes);
    const Scope fc = head["fc"];
    const NodeId hidden = fc.activate("act", fc.linear("fc1", x, 4 * spec.channels[3]), Activation::squared_relu);
    nn::linear_classifier(network, fc, "fc2", fc.layer_norm("norm", hidden), options.num_classes);
    network.pre_logits = x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  network.input = builder.root.input(options.in_chans);
  NodeId x = builder.stem(network.input);
  for (size_t i = 0; i < 4; ++i) {
    const Scope scope = builder.root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, x, i);
    network.add_level(x, 4 << i, scope.path());
  }
  builder.head(network, x, options);
  return network;
}

constexpr std::array<int64_t, 4> d12{2, 2, 6, 2}, d18{3, 3, 9, 3}, d24{4, 4, 12, 4}, d36{6, 6, 18, 6},
    d36_late{3, 12, 18, 3}, d48{8, 8, 24, 8};
constexpr std::array<int64_t, 4> small{64, 128, 320, 512}, medium_pool{96, 192, 384, 768}, medium{96, 192, 384, 576},
    base{128, 256, 512, 768};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"poolformer_s12", {Mixers::pool, d12, small, true}},
    {"poolformer_s24", {Mixers::pool, d24, small, true}},
    {"poolformer_s36", {Mixers::pool, d36, small, true}},
    {"poolformer_m36", {Mixers::pool, d36, medium_pool, true}},
    {"poolformer_m48", {Mixers::pool, d48, medium_pool, true}},
    {"poolformerv2_s12", {Mixers::pool, d12, small}},
    {"poolformerv2_s24", {Mixers::pool, d24, small}},
    {"poolformerv2_s36", {Mixers::pool, d36, small}},
    {"poolformerv2_m36", {Mixers::pool, d36, medium_pool}},
    {"poolformerv2_m48", {Mixers::pool, d48, medium_pool}},
    {"convformer_s18", {Mixers::conv, d18, small}},
    {"convformer_s36", {Mixers::conv, d36_late, small}},
    {"convformer_m36", {Mixers::conv, d36_late, medium}},
    {"convformer_b36", {Mixers::conv, d36_late, base}},
    {"caformer_s18", {Mixers::conv_then_attention, d18, small}},
    {"caformer_s36", {Mixers::conv_then_attention, d36_late, small}},
    {"caformer_m36", {Mixers::conv_then_attention, d36_late, medium}},
    {"caformer_b36", {Mixers::conv_then_attention, d36_late, base}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family metaformer_family{"metaformer", names_of(variants), build_variant};

}  // namespace wimm
