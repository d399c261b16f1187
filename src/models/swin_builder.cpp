// Patches, stages and head of Swin transformers.
#include "models/swin_builder.h"

#include <algorithm>
#include <string>

#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;
using Version = SwinTransformer::Version;

constexpr int64_t patch_size = 4;
constexpr double norm_eps = 1e-5;

class Builder {
 public:
  Builder(const SwinTransformer& spec, const BuildOptions& options, Network& network)
      : spec_(spec), options_(options), network_(network), root_(network.graph) {}

  void run() {
    const Size2d size = options_.img_size.value_or(Size2d{spec_.img_size, spec_.img_size});
    size_ = {size[0] / patch_size, size[1] / patch_size};
    network_.input = root_.input({.channels = options_.in_chans, .size = size});
    NodeId x = nn::patch_embed(root_["patch_embed"], network_.input, spec_.embed_dim, patch_size);
    x = root_["patch_embed"].layer_norm("norm", x, norm_eps);
    const Size2d grid = size_;
    const Scope stages = root_[is_cr() ? "stages" : "layers"];
    for (int64_t i = 0; i < 4; ++i) {
      if (i > 0) x = merge_patches(stages[i]["downsample"], x);
      const Size2d window = is_cr() ? Size2d{std::max<int64_t>(1, grid[0] / 8), std::max<int64_t>(1, grid[1] / 8)}
                                    : Size2d{spec_.windows[i], spec_.windows[i]};
      for (int64_t j = 0; j < spec_.depths[i]; ++j) x = block(stages[i]["blocks"][j], x, i, j, window);
      network_.add_level(x, patch_size << i, stages[i].path());
    }
    if (!is_cr()) x = root_.layer_norm("norm", x, norm_eps);
    nn::classifier_head(network_, root_["head"], x, options_.global_pool.value_or("avg"), options_.num_classes);
  }

 private:
  bool is_cr() const { return spec_.version == Version::v2_cr; }

  // Zeros below and to the right, up to multiples of `size`.
  NodeId pad(const Scope& scope, NodeId x, Size2d size) const {
    const Padding rest{.bottom = (size[0] - size_[0] % size[0]) % size[0],
                       .right = (size[1] - size_[1] % size[1]) % size[1]};
    return rest.bottom == 0 && rest.right == 0 ? x : scope.node(Pad{rest, Pad::Mode::zeros}, {x}, scope.channels(x));
  }

  // Four patches become one.
  NodeId merge_patches(const Scope& scope, NodeId x) {
    const int64_t channels = scope.channels(x);
    x = scope.node(SpaceToDepth{.factor = 2, .columns_first = true}, {pad(scope, x, {2, 2})}, 4 * channels);
    for (int64_t& side : size_) side = (side + 1) / 2;
    if (spec_.version != Version::v2) x = scope.layer_norm("norm", x, norm_eps);
    x = scope.linear("reduction", x, 2 * channels, false);
    return spec_.version == Version::v2 ? scope.layer_norm("norm", x, norm_eps) : x;
  }

  NodeId block(const Scope& scope, NodeId x, int64_t stage, int64_t index, Size2d window) const {
    const bool norm_first = spec_.version == Version::v1;
    const auto norm = [&](std::string_view name, NodeId value) { return scope.layer_norm(name, value, norm_eps); };
    const nn::Mlp mlp{.hidden = 4 * scope.channels(x)};
    if (norm_first) {
      x = scope.add(x, windowed(scope["attn"], norm("norm1", x), stage, index, window));
      return scope.add(x, nn::mlp(scope["mlp"], norm("norm2", x), mlp));
    }
    x = scope.add(x, norm("norm1", windowed(scope["attn"], x, stage, index, window)));
    x = scope.add(x, norm("norm2", nn::mlp(scope["mlp"], x, mlp)));
    return is_cr() && norm_after(stage, index) ? norm("norm3", x) : x;
  }

  bool norm_after(int64_t stage, int64_t index) const {
    const bool last = index + 1 == spec_.depths[stage];
    return (spec_.norm_period > 0 && (index + 1) % spec_.norm_period == 0) ||
           (last && (spec_.stage_norm || stage == 3));
  }

  // A window is no larger than the image, and not shifted where it is as large.
  NodeId windowed(const Scope& scope, NodeId x, int64_t stage, int64_t index, Size2d size) const {
    Windows windows{.size = size, .rolled = size_};
    for (int axis : {0, 1}) {
      windows.size[axis] = std::min(size[axis], size_[axis]);
      windows.shift[axis] = index % 2 == 0 || size_[axis] <= size[axis] ? 0 : size[axis] / 2;
    }
    const NodeId padded = pad(scope, x, windows.size);
    const NodeId y = attention(scope, padded, stage, windows);
    if (padded == x) return y;
    const Padding added = std::get<Pad>(scope.graph().nodes[padded].op).padding;
    const Padding rest{.bottom = -added.bottom, .right = -added.right};
    return scope.node(Pad{rest, Pad::Mode::zeros}, {y}, scope.channels(x));
  }

  NodeId attention(const Scope& scope, NodeId x, int64_t stage, const Windows& windows) const {
    const int64_t channels = scope.channels(x), heads = spec_.heads[stage];
    Attention op = nn::attention_of(3 * channels, heads);
    op.windows = windows;
    op.bias = RelativeBias{.grid = windows.size};
    Linear qkv;
    switch (spec_.version) {
      case Version::v1:
        op.bias->table = nn::relative_bias_table(scope, "relative_position_bias_table", *op.bias, heads);
        qkv = scope.declare_linear("qkv", channels, 3 * channels);
        break;
      case Version::v2: {
        op.logit_scale = scope.parameter("logit_scale", {heads, 1, 1}, Init::logit_scale);
        const auto bias = [&](std::string_view name) { return scope.parameter(name, {channels}, Init::zeros); };
        const ParameterId q_bias = bias("q_bias"), v_bias = bias("v_bias");
        const int64_t pretrained = spec_.pretrained_windows[stage];
        const Size2d unit = pretrained > 0 ? Size2d{pretrained, pretrained} : windows.size;
        op.bias->mlp = nn::offset_mlp(scope["cpb_mlp"], {"0", "2"}, 512, heads, false);
        op.bias->mlp->unit = {std::max<int64_t>(1, unit[0] - 1), std::max<int64_t>(1, unit[1] - 1)};
        qkv = scope.declare_linear("qkv", channels, 3 * channels, false);
        qkv.bias_parts = {q_bias, no_id, v_bias};
        break;
      }
      case Version::v2_cr:
        op.logit_scale = scope.parameter("logit_scale", {heads}, Init::logit_scale);
        qkv = scope.declare_linear("qkv", channels, 3 * channels);
        break;
    }
    const Linear proj = scope.declare_linear("proj", channels, channels);
    if (is_cr()) op.bias->mlp = nn::offset_mlp(scope["meta_mlp"], {"fc1", "fc2"}, 384, heads, true);
    const NodeId mixed = scope["qkv"].node(qkv, {x}, 3 * channels);
    return scope["proj"].node(proj, {scope.node(op, {mixed, mixed, mixed}, channels)}, channels);
  }

  const SwinTransformer& spec_;
  const BuildOptions& options_;
  Network& network_;
  Scope root_;
  Size2d size_{};  // of the current stage, in patches
};

}  // namespace

Network build_swin(const SwinTransformer& spec, const BuildOptions& options) {
  Network network;
  Builder(spec, options, network).run();
  return network;
}

}  // namespace wimm
