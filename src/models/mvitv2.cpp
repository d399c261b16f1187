// MViTv2: attention whose queries, keys and values are pooled (timm/models/mvitv2.py).
// Paper: arXiv 2112.01526.
#include <algorithm>
#include <array>

#include "models/families.h"
#include "models/variants.h"
#include "models/vision_transformer_builder.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Variant {
  std::string_view name;
  std::array<int64_t, 4> depths;
  int64_t channels = 96, heads = 1;  // of the first stage, doubled in each that follows
  bool class_token = false;
  bool expands_in_attention = true;  // else in the MLP of the stage before
};

// clang-format off
constexpr Variant variants[] = {
    {"mvitv2_tiny", {1, 2, 5, 2}},
    {"mvitv2_small", {1, 2, 11, 2}},
    {"mvitv2_base", {2, 3, 16, 3}},
    {"mvitv2_large", {2, 6, 36, 4}, 144, 2, false, false},
    {"mvitv2_small_cls", {1, 2, 11, 2}, 96, 1, true},
    {"mvitv2_base_cls", {2, 3, 16, 3}, 96, 1, true},
    {"mvitv2_large_cls", {2, 6, 36, 4}, 144, 2, true},
    {"mvitv2_huge_cls", {4, 8, 60, 8}, 192, 3, true},
};
// clang-format on

// Channels that attention and MLP of a block give, its heads, and by what queries and keys are pooled.
struct Block {
  int64_t attention_channels, out_channels, heads, stride, kv_stride;
};

class Builder {
 public:
  Builder(const Variant& spec, const BuildOptions& options, Network& network)
      : spec_(spec), options_(options), network_(network), root_(network.graph) {}

  void run() {
    const Size2d size = options_.img_size.value_or(Size2d{224, 224});
    network_.input = root_.input({.channels = options_.in_chans, .size = size});
    ParameterId token = no_id;
    if (spec_.class_token) token = root_.parameter("cls_token", {1, 1, spec_.channels}, Init::token);
    image_ = root_["patch_embed"].conv2d(
        "proj", network_.input,
        {.out_channels = spec_.channels, .kernel = 7, .stride = 4, .padding = nn::padding(3), .bias = true});
    grid_ = {(size[0] + 3) / 4, (size[1] + 3) / 4};
    NodeId x = root_["patch_embed"].node(ToTokens{}, {image_}, spec_.channels);
    if (spec_.class_token) {
      const Scope scope = root_["cls_token"];
      x = scope.node(ConcatTokens{}, {scope.node(LearnedTokens{token, 1}, {x}, spec_.channels), x}, spec_.channels);
    }
    for (int64_t stage = 0; stage < 4; ++stage) x = blocks(x, stage);
    head(root_.layer_norm("norm", x));
  }

 private:
  NodeId blocks(NodeId x, int64_t stage) {
    const Scope scope = root_["stages"][stage];
    for (int64_t i = 0; i < spec_.depths[stage]; ++i) {
      const bool expands_next = !spec_.expands_in_attention && i + 1 == spec_.depths[stage] && stage < 3;
      x = block(scope["blocks"][i], x,
                {.attention_channels = spec_.channels << stage,
                 .out_channels = spec_.channels << (expands_next ? stage + 1 : stage),
                 .heads = spec_.heads << stage,
                 .stride = i == 0 && stage > 0 ? 2 : 1,
                 .kv_stride = std::max<int64_t>(1, 4 >> stage)});
    }
    network_.add_level(scope["level"].node(ToImage{}, {patches(scope, x), image_}, root_.channels(x)), 4 << stage,
                       "block." + std::to_string(stage));
    return x;
  }

  NodeId block(const Scope& scope, NodeId x, const Block& spec) {
    NodeId y = scope.layer_norm("norm1", x);
    if (root_.channels(x) != spec.attention_channels)
      x = scope.linear("shortcut_proj_attn", y, spec.attention_channels);
    if (spec.stride > 1)
      x = pooled(scope, x, [&](NodeId image) {
        return scope.max_pool("pool", image, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
      });
    x = scope.add(x, attention(scope["attn"], y, spec));
    y = scope.layer_norm("norm2", x);
    if (spec.out_channels != spec.attention_channels) x = scope.linear("shortcut_proj_mlp", y, spec.out_channels);
    const Scope mlp = scope["mlp"];
    y = mlp.activate("act", mlp.linear("fc1", y, 4 * spec.attention_channels), Activation::gelu);
    return scope.add(x, mlp.linear("fc2", y, spec.out_channels));
  }

  // Queries are added to what answers them. From here on, the image is theirs.
  NodeId attention(const Scope& scope, NodeId x, const Block& spec) {
    const int64_t channels = spec.attention_channels, depth = channels / spec.heads;
    const Size2d queries = strided(spec.stride), keys = strided(spec.kv_stride);
    const auto offsets = [&](std::string_view name, int axis) {
      return scope.parameter(name, {2 * std::max(queries[axis], keys[axis]) - 1, depth}, Init::token);
    };
    const ParameterId rows = offsets("rel_pos_h", 0), columns = offsets("rel_pos_w", 1);
    const NodeId qkv = scope.linear("qkv", x, 3 * channels);
    const Linear proj = scope.declare_linear("proj", channels, channels);
    NodeId image = no_id;
    const auto part = [&](int64_t i, std::string_view pool, std::string_view norm, int64_t stride) {
      const NodeId value = pooled(scope, scope.slice(qkv, i * channels, channels), [&](NodeId of) {
        return image = scope.conv2d(pool, of,
                                    {.out_channels = channels,
                                     .kernel = 3,
                                     .stride = stride,
                                     .groups = channels,
                                     .padding = nn::padding(1),
                                     .repeats = spec.heads});
      });
      return nn::head_norm(scope, norm, value, depth, {});
    };
    const NodeId q = part(0, "pool_q", "norm_q", spec.stride), query_image = image;
    const NodeId k = part(1, "pool_k", "norm_k", spec.kv_stride), v = part(2, "pool_v", "norm_v", spec.kv_stride);
    Attention op = nn::attention_of(3 * channels, spec.heads);
    op.k.begin = op.v.begin = 0;
    op.products = OffsetProducts{.rows = rows, .columns = columns, .queries = queries, .keys = keys};
    op.products->prefix = spec_.class_token ? 1 : 0;
    const NodeId mixed = scope.add(scope.node(op, {q, k, v}, channels), q);
    if (spec.stride > 1) {
      image_ = query_image;
      grid_ = queries;
    }
    return scope["proj"].node(proj, {mixed}, channels);
  }

  Size2d strided(int64_t stride) const { return {(grid_[0] + stride - 1) / stride, (grid_[1] + stride - 1) / stride}; }

  NodeId patches(const Scope& scope, NodeId x) const {
    return spec_.class_token ? scope.node(DropTokens{1}, {x}, root_.channels(x)) : x;
  }

  // What `pool` makes of the image that tokens x are, behind the class token as it is.
  template <class Pool>
  NodeId pooled(const Scope& scope, NodeId x, Pool&& pool) const {
    const int64_t channels = root_.channels(x);
    const NodeId image = pool(scope.node(ToImage{}, {patches(scope, x), image_}, channels));
    const NodeId tokens = scope.node(ToTokens{}, {image}, channels);
    if (!spec_.class_token) return tokens;
    return scope.node(ConcatTokens{}, {scope.node(SliceTokens{0, 1}, {x}, channels), tokens}, channels);
  }

  void head(NodeId x) {
    const std::string_view pool = options_.global_pool ? std::string_view(*options_.global_pool)
                                  : spec_.class_token  ? "token"
                                                       : "avg";
    if (pool == "token" && !spec_.class_token) nn::pool_of(options_.global_pool, {"avg", ""});
    network_.features = x;
    network_.token_features = true;
    network_.num_features = root_.channels(x);
    const Scope scope = root_["global_pool"];
    if (pool == "token") x = scope.node(SelectToken{0}, {x}, root_.channels(x));
    if (pool == "avg") x = scope.global_pool("pool", patches(scope, x), PoolKind::avg);
    nn::linear_classifier(network_, root_["head"], "fc", x, options_.num_classes);
  }

  const Variant& spec_;
  const BuildOptions& options_;
  Network& network_;
  Scope root_;
  NodeId image_ = no_id;  // one of the size of the tokens' grid
  Size2d grid_{};
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"token", "avg", ""});
  Network network;
  Builder(find(variants, name), options, network).run();
  return network;
}

}  // namespace

extern constinit const Family mvitv2_family{"mvitv2", names_of(variants), build_variant};

}  // namespace wimm
