// Blocks of transformers, as timm/layers/attention.py, diff_attention.py, mlp.py and attention_pool.py.
#include "nn/transformer.h"

#include <cmath>

namespace wimm::nn {
namespace {

double scale_of(int64_t depth) { return 1 / std::sqrt(static_cast<double>(depth)); }

}  // namespace

NodeId head_norm(const Scope& scope, std::string_view name, NodeId x, int64_t channels, const TokenNorm& norm) {
  const Scope module = scope[name];
  const ParameterId weight = module.parameter("weight", {channels}, Init::ones);
  if (norm.kind != TokenNorm::Kind::layer)
    return module.node(RmsNorm{norm.eps, weight, norm.kind == TokenNorm::Kind::simple}, {x}, scope.channels(x));
  const ParameterId bias = module.parameter("bias", {channels}, Init::zeros);
  return module.node(LayerNorm{norm.eps, weight, bias}, {x}, scope.channels(x));
}

NodeId token_norm(const Scope& scope, std::string_view name, NodeId x, const TokenNorm& norm) {
  return head_norm(scope, name, x, scope.channels(x), norm);
}

NodeId attend(const Scope& scope, NodeId q, NodeId k, NodeId v, int64_t heads, int64_t kv_heads) {
  const auto split = [&](NodeId value, int64_t count) {
    const int64_t depth = scope.channels(value) / count;
    return Attention::Heads{0, depth, depth};
  };
  const Attention op{.heads = heads,
                     .kv_heads = kv_heads,
                     .scale = scale_of(scope.channels(q) / heads),
                     .q = split(q, heads),
                     .k = split(k, kv_heads),
                     .v = split(v, kv_heads)};
  return scope.node(op, {q, k, v}, heads * op.v.depth);
}

Attention attention_of(int64_t qkv_channels, int64_t heads) {
  const int64_t channels = qkv_channels / 3, depth = channels / heads;
  return {.heads = heads,
          .kv_heads = heads,
          .scale = scale_of(depth),
          .q = {0, depth, depth},
          .k = {channels, depth, depth},
          .v = {2 * channels, depth, depth}};
}

NodeId attend(const Scope& scope, NodeId qkv, int64_t heads) {
  return scope.node(attention_of(scope.channels(qkv), heads), {qkv, qkv, qkv}, scope.channels(qkv) / 3);
}

ParameterId relative_bias_table(const Scope& scope, std::string_view name, const RelativeBias& bias, int64_t heads) {
  const int64_t more = bias.prefix > 0 ? 3 : 0, offsets = (2 * bias.grid[0] - 1) * (2 * bias.grid[1] - 1);
  const ParameterId table = scope.parameter(name, {offsets + more, heads}, Init::token);
  scope.graph().parameters[table].offsets = {bias.grid, more};
  return table;
}

RelativeBias::Mlp offset_mlp(const Scope& scope, std::array<std::string_view, 2> layers, int64_t hidden, int64_t heads,
                             bool last_bias) {
  const Linear first = scope.declare_linear(layers[0], 2, hidden),
               second = scope.declare_linear(layers[1], hidden, heads, last_bias);
  return {.weight1 = first.weight, .bias1 = first.bias, .weight2 = second.weight, .bias2 = second.bias};
}

NodeId patch_embed(const Scope& scope, NodeId x, int64_t channels, int64_t patch_size, bool bias,
                   Resampling resampling) {
  x = scope.conv2d("proj", x, {.out_channels = channels, .kernel = patch_size, .stride = patch_size, .bias = bias});
  Graph& graph = scope.graph();
  graph.parameters[std::get<Conv2d>(graph.nodes[x].op).weight].patches = resampling;
  return x;
}

NodeId first_token(const Scope& scope, NodeId x) { return scope.node(SliceTokens{0, 1}, {x}, scope.channels(x)); }
NodeId other_tokens(const Scope& scope, NodeId x) { return scope.node(DropTokens{1}, {x}, scope.channels(x)); }
NodeId join_tokens(const Scope& scope, NodeId first, NodeId others) {
  return scope.node(ConcatTokens{}, {first, others}, scope.channels(others));
}

NodeId class_attention(const Scope& scope, NodeId x, int64_t heads, const std::array<std::string_view, 3>& layers) {
  const int64_t channels = scope.channels(x);
  const NodeId q = scope.linear(layers[0], first_token(scope, x), channels), k = scope.linear(layers[1], x, channels),
               v = scope.linear(layers[2], x, channels);
  return scope.linear("proj", attend(scope, q, k, v, heads, heads), channels);
}

NodeId attend_to(const Scope& scope, NodeId q, NodeId kv, int64_t heads) {
  const int64_t channels = scope.channels(q), depth = channels / heads;
  const Attention op{.heads = heads,
                     .kv_heads = heads,
                     .scale = scale_of(depth),
                     .q = {0, depth, depth},
                     .k = {0, depth, depth},
                     .v = {channels, depth, depth}};
  return scope.node(op, {q, kv, kv}, channels);
}

NodeId attend_by(const Scope& scope, NodeId qk, NodeId v, int64_t heads) {
  const int64_t channels = scope.channels(v), depth = channels / heads;
  const Attention op{.heads = heads,
                     .kv_heads = heads,
                     .scale = scale_of(depth),
                     .q = {0, depth, depth},
                     .k = {channels, depth, depth},
                     .v = {0, depth, depth}};
  return scope.node(op, {qk, qk, v}, channels);
}

NodeId self_attention(const Scope& scope, NodeId x, const SelfAttention& options) {
  const int64_t channels = scope.channels(x), depth = channels / options.heads;
  NodeId mixed = scope.linear("qkv", x, 3 * channels, options.qkv_bias);
  if (options.qk_norm) {
    const NodeId q = head_norm(scope, "q_norm", scope.slice(mixed, 0, channels), depth, *options.qk_norm);
    const NodeId k = head_norm(scope, "k_norm", scope.slice(mixed, channels, channels), depth, *options.qk_norm);
    mixed = attend(scope, q, k, scope.slice(mixed, 2 * channels, channels), options.heads, options.heads);
  } else {
    mixed = attend(scope, mixed, options.heads);
  }
  if (options.scale_norm) mixed = token_norm(scope, "norm", mixed, *options.scale_norm);
  return scope.linear("proj", mixed, channels, options.proj_bias);
}

DifferentialMix declare_differential_mix(const Scope& scope, int64_t head_channels, int64_t depth) {
  const auto lambda = [&](std::string_view name) { return scope.parameter(name, {head_channels}, Init::token); };
  return {.q1 = lambda("lambda_q1"),
          .k1 = lambda("lambda_k1"),
          .q2 = lambda("lambda_q2"),
          .k2 = lambda("lambda_k2"),
          .lambda_init = 0.8 - 0.6 * std::exp(-0.3 * static_cast<double>(depth))};
}

NodeId differential_attend(const Scope& scope, NodeId qkv, int64_t heads, const DifferentialMix& mix) {
  const int64_t channels = scope.channels(qkv) / 3, stride = channels / heads, depth = stride / 2;
  const auto attention = [&](int64_t begin) {
    const Attention op{.heads = heads,
                       .kv_heads = heads,
                       .scale = scale_of(depth),
                       .q = {begin, stride, depth},
                       .k = {channels + begin, stride, depth},
                       .v = {2 * channels, stride, stride}};
    return scope.node(op, {qkv, qkv, qkv}, channels);
  };
  return scope.node(mix, {attention(0), attention(depth)}, channels);
}

NodeId differential_norm(const Scope& scope, NodeId x, int64_t heads, const DifferentialMix& mix) {
  x = head_norm(scope, "sub_norm", x, scope.channels(x) / heads, {TokenNorm::Kind::rms, 1e-5});
  return scope.scale(x, static_cast<float>(1 - mix.lambda_init));
}

NodeId differential_attention(const Scope& scope, NodeId x, const SelfAttention& options, int64_t depth) {
  const int64_t channels = scope.channels(x);
  const DifferentialMix mix = declare_differential_mix(scope, channels / options.heads / 2, depth);
  const NodeId qkv = scope.linear("qkv", x, 3 * channels, options.qkv_bias);
  const Linear proj = scope.declare_linear("proj", channels, channels, options.proj_bias);
  x = differential_norm(scope, differential_attend(scope, qkv, options.heads, mix), options.heads, mix);
  return scope["proj"].node(proj, {x}, channels);
}

NodeId mlp(const Scope& scope, NodeId x, const Mlp& options) {
  const int64_t channels = scope.channels(x), half = options.hidden / 2;
  const auto layer = [&](std::string_view name, NodeId value, int64_t out) {
    return options.conv ? scope.conv2d(name, value, {.out_channels = out, .bias = options.bias})
                        : scope.linear(name, value, out, options.bias);
  };
  const auto fc1 = [&](std::string_view name) { return layer(name, x, options.hidden); };
  const auto activate = [&](NodeId value) { return scope.activate("act", value, options.activation); };
  NodeId hidden = no_id;
  switch (options.kind) {
    case Mlp::Kind::plain:
      hidden = activate(fc1("fc1"));
      break;
    case Mlp::Kind::glu: {
      const NodeId both = fc1("fc1");
      hidden = scope.mul(activate(scope.slice(both, 0, half)), scope.slice(both, half, half));
      break;
    }
    case Mlp::Kind::glu_gate_last: {
      const NodeId both = fc1("fc1");
      hidden = scope.mul(scope.slice(both, 0, half), activate(scope.slice(both, half, half)));
      break;
    }
    case Mlp::Kind::swiglu: {
      const NodeId gate = fc1("fc1_g");
      hidden = scope.mul(activate(gate), fc1("fc1_x"));
      break;
    }
    case Mlp::Kind::normed_geglu: {
      x = scope.layer_norm("norm", x);
      const NodeId gate = fc1("w0");
      return layer("w2", scope.mul(activate(gate), fc1("w1")), channels);
    }
  }
  if (options.norm) hidden = token_norm(scope, "norm", hidden, *options.norm);
  if (options.response_norm) hidden = scope.global_response_norm("grn", hidden);
  return layer("fc2", hidden, channels);
}

NodeId mix_tokens(const Scope& scope, std::string_view name, NodeId x, int64_t tokens, int64_t out_tokens) {
  const Linear linear = scope.declare_linear(name, tokens, out_tokens);
  const MixTokens mix{.tokens = tokens, .out_tokens = out_tokens, .weight = linear.weight, .bias = linear.bias};
  return scope[name].node(mix, {x}, scope.channels(x));
}

NodeId transformer_block(const Scope& scope, NodeId x, const SelfAttention& attention, const Mlp& options,
                         const TokenNorm& norm) {
  x = scope.add(x, self_attention(scope["attn"], token_norm(scope, "norm1", x, norm), attention));
  return scope.add(x, mlp(scope["mlp"], token_norm(scope, "norm2", x, norm), options));
}

NodeId to_tokens(const Scope& scope, NodeId x) { return scope.node(ToTokens{}, {x}, scope.channels(x)); }

NodeId to_image(const Scope& scope, NodeId x, NodeId like) {
  return scope.node(ToImage{}, {x, like}, scope.channels(x));
}

NodeId unbiased_norm(const Scope& scope, std::string_view name, NodeId x, double eps) {
  const ParameterId weight = scope[name].parameter("weight", {scope.channels(x)}, Init::ones);
  return scope[name].node(LayerNorm{eps, weight, no_id}, {x}, scope.channels(x));
}

NodeId star_relu(const Scope& scope, NodeId x) {
  const StarRelu op{.scale = scope.parameter("scale", {1}, Init::ones),
                    .bias = scope.parameter("bias", {1}, Init::zeros)};
  return scope.node(op, {x}, scope.channels(x));
}

NodeId layer_scale(const Scope& scope, std::string_view name, NodeId x) {
  const ParameterId gamma = scope[name].parameter("gamma", {scope.channels(x)}, Init::layer_scale);
  return scope[name].node(Affine{.weight = gamma}, {x}, scope.channels(x));
}

NodeId attention_pool(const Scope& scope, NodeId x, int64_t heads, const Mlp& options, const TokenNorm& norm) {
  const int64_t channels = scope.channels(x);
  const ParameterId latent = scope.parameter("latent", {1, 1, channels}, Init::token);
  const NodeId query = scope["latent"].node(LearnedTokens{latent, 1}, {x}, channels);
  const NodeId q = scope.linear("q", query, channels), kv = scope.linear("kv", x, 2 * channels);
  const NodeId pooled = scope.linear("proj", attend_to(scope, q, kv, heads), channels);
  const NodeId refined = scope.add(pooled, mlp(scope["mlp"], token_norm(scope, "norm", pooled, norm), options));
  return scope.node(SelectToken{0}, {refined}, channels);
}

}  // namespace wimm::nn
