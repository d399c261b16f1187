// MLP-Mixer, ResMLP and gMLP (timm/models/mlp_mixer.py).
// Papers: arXiv 2105.01601 (MLP-Mixer), 2105.03404 (ResMLP), 2105.08050 (gMLP).
#include <algorithm>
#include <string>
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
using Glu = nn::Mlp::Kind;

// mixer: an MLP along tokens, another along channels; glu_mixer: the same with gated linear units; res: a linear layer
// along tokens, and scales for norms; spatial_gating: one MLP whose values are gated by their mixed tokens.
enum class Block : uint8_t { mixer, glu_mixer, res, spatial_gating };

struct Variant {
  std::string_view name;
  int64_t patch_size, depth, embed_dim;
  Block block = Block::mixer;
};

class Builder {
 public:
  Builder(const Variant& variant, const BuildOptions& options, Network& network)
      : variant_(variant), network_(network), root_(network.graph) {
    const Size2d size = options.img_size.value_or(Size2d{224, 224});
    tokens_ = size[0] / variant.patch_size * (size[1] / variant.patch_size);
    if (tokens_ < 1)
      throw Error(ErrorCode::invalid_argument, "img_size must be at least the patches' " +
                                                   std::to_string(variant.patch_size) + " pixels, got " +
                                                   std::to_string(size[0]) + " × " + std::to_string(size[1]));
    network.input = root_.input({.channels = options.in_chans, .size = size});
  }

  void run(const BuildOptions& options) {
    const int64_t channels = variant_.embed_dim, patch = variant_.patch_size;
    const NodeId image = root_["stem"].conv2d(
        "proj", network_.input, {.out_channels = channels, .kernel = patch, .stride = patch, .bias = true});
    NodeId x = nn::to_tokens(root_, image);
    for (int64_t i = 0; i < variant_.depth; ++i) {
      const Scope scope = root_["blocks"][i];
      x = block(scope, x);
      network_.add_level(nn::to_image(scope, x, image), patch, scope.path());
    }
    for (int64_t i = 3; i > 0; --i) network_.out_indices.push_back(variant_.depth - i);
    head(norm(root_, "norm", x), options);
  }

 private:
  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    if (variant_.block != Block::res) return scope.layer_norm(name, x);
    const Shape shape{1, 1, scope.channels(x)};
    const Affine affine{.weight = scope[name].parameter("alpha", shape, Init::ones),
                        .bias = scope[name].parameter("beta", shape, Init::zeros)};
    return scope[name].node(affine, {x}, scope.channels(x));
  }

  NodeId block(const Scope& scope, NodeId x) const {
    switch (variant_.block) {
      case Block::mixer:
      case Block::glu_mixer:
        x = scope.add(x, token_mlp(scope["mlp_tokens"], norm(scope, "norm1", x)));
        return scope.add(x, channel_mlp(scope["mlp_channels"], norm(scope, "norm2", x)));
      case Block::res:
        return res_block(scope, x);
      case Block::spatial_gating:
        return scope.add(x, gated_mlp(scope["mlp_channels"], norm(scope, "norm", x)));
    }
    return x;
  }

  NodeId token_mlp(const Scope& scope, NodeId x) const {
    if (variant_.block == Block::mixer) {
      x = scope.activate("act", nn::mix_tokens(scope, "fc1", x, tokens_, variant_.embed_dim / 2), Activation::gelu);
      return nn::mix_tokens(scope, "fc2", x, variant_.embed_dim / 2, tokens_);
    }
    const int64_t half = variant_.embed_dim / 2, channels = variant_.embed_dim;
    const NodeId both = nn::mix_tokens(scope, "fc1", x, tokens_, 2 * half);
    const auto part = [&](int64_t begin) { return scope.node(SliceTokens{begin, half}, {both}, channels); };
    x = scope.mul(part(0), scope.activate("act", part(half), Activation::silu));
    return nn::mix_tokens(scope, "fc2", x, half, tokens_);
  }

  NodeId channel_mlp(const Scope& scope, NodeId x) const {
    const bool glu = variant_.block == Block::glu_mixer;
    return nn::mlp(scope, x,
                   {.kind = glu ? Glu::glu_gate_last : Glu::plain,
                    .hidden = 4 * variant_.embed_dim,
                    .activation = glu ? Activation::silu : Activation::gelu});
  }

  NodeId res_block(const Scope& scope, NodeId x) const {
    const int64_t channels = variant_.embed_dim;
    const auto declare = [&](std::string_view name) {
      return Affine{.weight = scope.parameter(name, {channels}, Init::layer_scale)};
    };
    const Affine ls1 = declare("ls1"), ls2 = declare("ls2");
    const NodeId mixed = nn::mix_tokens(scope, "linear_tokens", norm(scope, "norm1", x), tokens_, tokens_);
    x = scope.add(x, scope["ls1"].node(ls1, {mixed}, channels));
    const NodeId value = channel_mlp(scope["mlp_channels"], norm(scope, "norm2", x));
    return scope.add(x, scope["ls2"].node(ls2, {value}, channels));
  }

  NodeId gated_mlp(const Scope& scope, NodeId x) const {
    const int64_t half = 3 * variant_.embed_dim;
    const Scope gate = scope["gate"];
    const NodeId both = scope.activate("act", scope.linear("fc1", x, 2 * half), Activation::gelu);
    const NodeId mixed =
        nn::mix_tokens(gate, "proj", gate.layer_norm("norm", gate.slice(both, half, half), 1e-5), tokens_, tokens_);
    return scope.linear("fc2", scope.mul(scope.slice(both, 0, half), mixed), variant_.embed_dim);
  }

  void head(NodeId x, const BuildOptions& options) {
    const std::string_view pool = nn::pool_of(options.global_pool, {"avg", ""});
    network_.features = x;
    network_.token_features = true;
    network_.num_features = variant_.embed_dim;
    if (!pool.empty()) x = root_.global_pool("global_pool", x, PoolKind::avg);
    nn::linear_classifier(network_, root_, "head", x, options.num_classes);
  }

  const Variant& variant_;
  Network& network_;
  Scope root_;
  int64_t tokens_;
};

constexpr Variant variants[] = {
    {"mixer_s32_224", 32, 8, 512},
    {"mixer_s16_224", 16, 8, 512},
    {"mixer_b32_224", 32, 12, 768},
    {"mixer_b16_224", 16, 12, 768},
    {"mixer_l32_224", 32, 24, 1024},
    {"mixer_l16_224", 16, 24, 1024},
    {"gmixer_12_224", 16, 12, 384, Block::glu_mixer},
    {"gmixer_24_224", 16, 24, 384, Block::glu_mixer},
    {"resmlp_12_224", 16, 12, 384, Block::res},
    {"resmlp_24_224", 16, 24, 384, Block::res},
    {"resmlp_36_224", 16, 36, 384, Block::res},
    {"resmlp_big_24_224", 8, 24, 768, Block::res},
    {"gmlp_ti16_224", 16, 30, 128, Block::spatial_gating},
    {"gmlp_s16_224", 16, 30, 256, Block::spatial_gating},
    {"gmlp_b16_224", 16, 30, 512, Block::spatial_gating},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  Network network;
  Builder(find(variants, name), options, network).run(options);
  return network;
}

}  // namespace

extern constinit const Family mlp_mixer_family{"mlp_mixer", names_of(variants), build_variant};

}  // namespace wimm
