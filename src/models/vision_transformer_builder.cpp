// Embedding, blocks and head of vision transformers.
#include "models/vision_transformer_builder.h"

#include <algorithm>
#include <string>

#include "nn/head.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;
using Block = VisionTransformer::Block;

class Builder {
 public:
  Builder(const VisionTransformer& spec, const BuildOptions& options, Network& network)
      : spec_(spec), options_(options), network_(network), root_(network.graph) {
    pool_ = options.global_pool ? std::string_view(*options.global_pool) : spec.global_pool;
    check_pool();
    const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
    grid_ = {size[0] / spec.patch_size, size[1] / spec.patch_size};
    if (grid_[0] < 1 || grid_[1] < 1)
      throw Error(ErrorCode::invalid_argument, "img_size must be at least the patches' " +
                                                   std::to_string(spec.patch_size) + " pixels, got " +
                                                   std::to_string(size[0]) + " × " + std::to_string(size[1]));
    Input input{.channels = options.in_chans};
    if (spec.dynamic_img_size)
      input.multiple_of = {spec.patch_size, spec.patch_size};
    else
      input.size = size;
    network.input = root_.input(input);
  }

  void run(const PatchEmbed& embed, const MakeBlock& make_block) {
    declare_tokens();
    image_ = embed(root_[spec_.embeds ? "embeds" : "patch_embed"], network_.input);
    NodeId x = embed_positions();
    if (spec_.pre_norm) x = nn::token_norm(root_, "norm_pre", x, spec_.norm);
    for (int64_t i = 0; i < spec_.depth; ++i) {
      const Scope scope = root_["blocks"][i];
      x = make_block ? make_block(scope, x, {i, prefix_tokens(), image_, grid_}) : block(scope, x, i);
      network_.feature_info.push_back({level(x, i), spec_.embed_dim, spec_.patch_size, "blocks." + std::to_string(i)});
    }
    for (int64_t i = std::max<int64_t>(0, spec_.depth - 3); i < spec_.depth; ++i) network_.out_indices.push_back(i);
    head(x);
  }

 private:
  void check_pool() const {
    constexpr std::string_view known[] = {"token", "avg", "max", "avgmax", "map", "prr", ""};
    if (std::ranges::find(known, pool_) == std::end(known))
      throw Error(ErrorCode::invalid_argument,
                  "global pool must be 'token', 'avg', 'max', 'avgmax', 'map', 'prr' or '', got " + quote(pool_));
    if (pool_ == "token" && !spec_.class_token)
      throw Error(ErrorCode::invalid_argument, "global pool 'token' takes a class token, which this model has not");
    if (pool_ != "token" && spec_.dist_token)
      throw Error(ErrorCode::invalid_argument,
                  "a distilled model pools its class and distillation tokens: leave out global pool '" +
                      std::string(pool_) + "'");
  }

  int64_t prefix_tokens() const { return spec_.class_token + spec_.dist_token + spec_.reg_tokens; }
  int64_t prefix_positions() const { return spec_.no_embed_class ? 0 : prefix_tokens(); }
  int64_t hidden() const { return static_cast<int64_t>(static_cast<double>(spec_.embed_dim) * spec_.mlp_ratio); }

  // timm declares these before the modules.
  void declare_tokens() {
    const Scope scope = spec_.embeds ? root_["embeds"] : root_;
    const auto declare = [&](std::string_view name, int64_t count) {
      return LearnedTokens{scope.parameter(name, {1, count, spec_.embed_dim}, Init::token), count};
    };
    if (spec_.class_token) prefix_.push_back(declare("cls_token", 1));
    if (spec_.reg_tokens > 0) prefix_.push_back(declare("reg_token", spec_.reg_tokens));
    if (spec_.pos_embed) {
      positions_ = declare("pos_embed", prefix_positions() + grid_[0] * grid_[1]).tokens;
      const int64_t native = spec_.img_size / spec_.patch_size;
      network_.graph.parameters[positions_].positions = {grid_, prefix_positions(), {native, native}, spec_.resampling};
    }
    if (spec_.dist_token) prefix_.push_back(declare("dist_token", 1));
  }

  NodeId embed_positions() const {
    const NodeId x = root_["patch_embed"].node(ToTokens{}, {image_}, spec_.embed_dim);
    return spec_.no_embed_class ? add_prefix(add_positions(x)) : add_positions(add_prefix(x));
  }

  NodeId add_prefix(NodeId x) const {
    if (prefix_.empty()) return x;
    std::vector<NodeId> tokens;
    for (const LearnedTokens& learned : prefix_) tokens.push_back(root_["prefix"].node(learned, {x}, spec_.embed_dim));
    tokens.push_back(x);
    return root_["prefix"].node(ConcatTokens{}, std::move(tokens), spec_.embed_dim);
  }

  NodeId add_positions(NodeId x) const {
    if (!spec_.pos_embed) return x;
    std::vector<NodeId> inputs{x};
    if (spec_.dynamic_img_size) inputs.push_back(image_);
    return root_["pos_embed"].node(AddPositions{positions_, prefix_positions(), grid_}, std::move(inputs),
                                   spec_.embed_dim);
  }

  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    return nn::token_norm(scope, name, x, spec_.norm);
  }

  NodeId attention(const Scope& scope, NodeId x, int64_t depth) const {
    nn::SelfAttention options{.heads = spec_.num_heads, .qkv_bias = spec_.qkv_bias, .proj_bias = spec_.proj_bias};
    if (spec_.qk_norm) options.qk_norm = spec_.norm;
    if (spec_.scale_norm) options.scale_norm = spec_.norm;
    return spec_.diff_attention ? nn::differential_attention(scope, x, options, depth)
                                : nn::self_attention(scope, x, options);
  }

  NodeId mlp(const Scope& scope, NodeId x) const {
    nn::Mlp options{.kind = spec_.mlp, .hidden = hidden(), .activation = spec_.activation, .bias = spec_.proj_bias};
    if (spec_.scale_norm) options.norm = spec_.norm;
    return nn::mlp(scope, x, options);
  }

  NodeId scaled(const Scope& scope, std::string_view name, NodeId x) const {
    return spec_.layer_scale ? nn::layer_scale(scope, name, x) : x;
  }

  NodeId block(const Scope& scope, NodeId x, int64_t depth) const {
    switch (spec_.block) {
      case Block::pre:
        x = scope.add(x, scaled(scope, "ls1", attention(scope["attn"], norm(scope, "norm1", x), depth)));
        return scope.add(x, scaled(scope, "ls2", mlp(scope["mlp"], norm(scope, "norm2", x))));
      case Block::res_post:
        x = scope.add(x, norm(scope, "norm1", attention(scope["attn"], x, depth)));
        return scope.add(x, norm(scope, "norm2", mlp(scope["mlp"], x)));
      case Block::parallel_things:
        x = add_each(scope["attns"], x,
                     [&](const Scope& branch) { return attention(branch["attn"], norm(branch, "norm", x), depth); });
        return add_each(scope["ffns"], x,
                        [&](const Scope& branch) { return mlp(branch["mlp"], norm(branch, "norm", x)); });
      case Block::parallel_scaling:
        return parallel_scaling(scope, x);
      case Block::diff_parallel_scaling:
        return diff_parallel_scaling(scope, x, depth);
    }
    return x;
  }

  // x and what two branches make of it, summed.
  template <class Branch>
  NodeId add_each(const Scope& scope, NodeId x, Branch&& branch) const {
    const NodeId first = scaled(scope[0], "ls", branch(scope[0]));
    const NodeId second = scaled(scope[1], "ls", branch(scope[1]));
    return scope.add(x, scope.add(first, second));
  }

  // One linear layer gives what the MLP activates, and queries, keys and values.
  NodeId parallel_scaling(const Scope& scope, NodeId x) const {
    const int64_t channels = spec_.embed_dim, depth = channels / spec_.num_heads;
    ParameterId mlp_bias = no_id;
    if (!spec_.qkv_bias) mlp_bias = scope.parameter("mlp_bias", {hidden()}, Init::zeros);
    const NodeId both = in_proj(scope, x);
    NodeId value = scope.slice(both, 0, hidden());
    if (mlp_bias != no_id) value = scope["mlp_bias"].node(Affine{.bias = mlp_bias}, {value}, hidden());
    value = scope.activate("mlp_act", value, spec_.activation);

    const auto part = [&](int64_t i) { return scope.slice(both, hidden() + i * channels, channels); };
    NodeId q = part(0), k = part(1);
    if (spec_.qk_norm) {
      q = nn::head_norm(scope, "q_norm", q, depth, spec_.norm);
      k = nn::head_norm(scope, "k_norm", k, depth, spec_.norm);
    }
    const NodeId mixed = nn::attend(scope, q, k, part(2), spec_.num_heads, spec_.num_heads);
    const NodeId attention = scope.linear("attn_out_proj", mixed, channels, spec_.proj_bias);
    const NodeId mlp = scope.linear("mlp_out_proj", value, channels, spec_.proj_bias);
    return scope.add(x, scaled(scope, "ls", scope.add(attention, mlp)));
  }

  NodeId diff_parallel_scaling(const Scope& scope, NodeId x, int64_t depth) const {
    const int64_t channels = spec_.embed_dim;
    const DifferentialMix mix = nn::declare_differential_mix(scope, channels / spec_.num_heads / 2, depth);
    const NodeId both = in_proj(scope, x);
    const NodeId qkv = scope.slice(both, hidden(), 3 * channels);
    const NodeId mixed =
        nn::differential_norm(scope, nn::differential_attend(scope, qkv, spec_.num_heads, mix), spec_.num_heads, mix);
    const NodeId value = scope.activate("mlp_act", scope.slice(both, 0, hidden()), spec_.activation);
    const NodeId y = scope.linear("out_proj", scope.concat({mixed, value}), channels, spec_.proj_bias);
    return scope.add(x, scaled(scope, "ls", y));
  }

  NodeId in_proj(const Scope& scope, NodeId x) const {
    return scope.linear("in_proj", norm(scope, "in_norm", x), hidden() + 3 * spec_.embed_dim, spec_.qkv_bias);
  }

  NodeId without_prefix(const Scope& scope, NodeId x) const {
    return prefix_tokens() == 0 ? x : scope.node(DropTokens{prefix_tokens()}, {x}, spec_.embed_dim);
  }

  // The tokens of patches as a map.
  NodeId level(NodeId x, int64_t index) const {
    const Scope scope = root_["levels"][index];
    return scope.node(ToImage{}, {without_prefix(scope, x), image_}, spec_.embed_dim);
  }

  void head(NodeId x) {
    const bool pools_tokens = pool_ == "avg" || pool_ == "max" || pool_ == "avgmax";
    const bool fc_norm = spec_.fc_norm.value_or(pools_tokens);
    if (spec_.final_norm && !fc_norm) x = norm(root_, "norm", x);
    network_.features = x;
    network_.token_features = true;
    network_.num_features = spec_.embed_dim;
    if (spec_.dist_token)
      return nn::distilled_classifier(network_, root_, token(x, 0), token(x, 1), options_.num_classes);
    x = pool(x);
    if (spec_.final_norm && fc_norm) x = norm(root_, "fc_norm", x);
    nn::linear_classifier(network_, root_, "head", x, options_.num_classes);
  }

  NodeId token(NodeId x, int64_t index) const {
    return root_["global_pool"].node(SelectToken{index}, {x}, spec_.embed_dim);
  }

  NodeId pool(NodeId x) const {
    if (pool_.empty()) return x;
    if (pool_ == "token") return token(x, 0);
    const Scope scope = root_["attn_pool"];
    if (pool_ == "prr") {
      x = nn::attend(scope, x, x, x, spec_.num_heads, spec_.num_heads);
      return spec_.class_token ? token(x, 0) : scope.global_pool("pool", x, PoolKind::avg);
    }
    if (!spec_.pool_include_prefix) x = without_prefix(root_["global_pool"], x);
    if (pool_ == "map") {
      const int64_t heads = spec_.pool_heads > 0 ? spec_.pool_heads : spec_.num_heads;
      const nn::Mlp options{.hidden = spec_.pool_heads > 0 ? 4 * spec_.embed_dim : hidden(),
                            .activation = spec_.activation};
      return nn::attention_pool(scope, x, heads, options, spec_.norm);
    }
    return nn::select_pool(root_, x, pool_, options_.num_classes);
  }

  const VisionTransformer& spec_;
  const BuildOptions& options_;
  Network& network_;
  Scope root_;
  std::string_view pool_;
  Size2d grid_;
  std::vector<LearnedTokens> prefix_;
  ParameterId positions_ = no_id;
  NodeId image_ = no_id;
};

}  // namespace

Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options, const PatchEmbed& embed,
                                 const MakeBlock& block) {
  Network network;
  Builder(spec, options, network).run(embed, block);
  return network;
}

Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options, const MakeBlock& block) {
  const PatchEmbed embed = [&](const Scope& scope, NodeId x) {
    x = nn::patch_embed(scope, x, spec.embed_dim, spec.patch_size, !spec.pre_norm, spec.resampling);
    return spec.embed_norm ? nn::token_norm(scope, "norm", x, spec.norm) : x;
  };
  return build_vision_transformer(spec, options, embed, block);
}

Network build_vision_transformer(const VisionTransformer& spec, const BuildOptions& options) {
  return build_vision_transformer(spec, options, MakeBlock{});
}

}  // namespace wimm
