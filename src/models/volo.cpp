// VOLO: outlook attention, then that of vision transformers (timm/models/volo.py).
// Paper: arXiv 2106.13112.
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
  int64_t channels, heads, outlook_heads, img_size;  // channels of the first stage; of others twice as many
  int64_t mlp_ratio = 3, stem_channels = 64;
};

// clang-format off
constexpr Variant variants[] = {
    {"volo_d1_224", {4, 4, 8, 2}, 192, 12, 6, 224},
    {"volo_d1_384", {4, 4, 8, 2}, 192, 12, 6, 384},
    {"volo_d2_224", {6, 4, 10, 4}, 256, 16, 8, 224},
    {"volo_d2_384", {6, 4, 10, 4}, 256, 16, 8, 384},
    {"volo_d3_224", {8, 8, 16, 4}, 256, 16, 8, 224},
    {"volo_d3_448", {8, 8, 16, 4}, 256, 16, 8, 448},
    {"volo_d4_224", {8, 8, 16, 4}, 384, 16, 12, 224},
    {"volo_d4_448", {8, 8, 16, 4}, 384, 16, 12, 448},
    {"volo_d5_224", {12, 12, 20, 4}, 384, 16, 12, 224, 4, 128},
    {"volo_d5_448", {12, 12, 20, 4}, 384, 16, 12, 448, 4, 128},
    {"volo_d5_512", {12, 12, 20, 4}, 384, 16, 12, 512, 4, 128},
};
// clang-format on

NodeId norm(const Scope& scope, std::string_view name, NodeId x) { return scope.layer_norm(name, x, 1e-5); }

NodeId patches(const Scope& scope, NodeId x, int64_t stem_channels, int64_t channels) {
  const Scope conv = scope["conv"];
  for (const int64_t i : {0, 3, 6}) {
    const int64_t kernel = i == 0 ? 7 : 3;
    x = conv.conv2d(std::to_string(i), x,
                    {.out_channels = stem_channels,
                     .kernel = kernel,
                     .stride = i == 0 ? 2 : 1,
                     .padding = nn::padding(kernel / 2)});
    x = conv.activate("act", conv.batch_norm(std::to_string(i + 1), x), Activation::relu);
  }
  return scope.conv2d("proj", x, {.out_channels = channels, .kernel = 4, .stride = 4, .bias = true});
}

NodeId outlook(const Scope& scope, NodeId x, int64_t heads) {
  const int64_t channels = scope.channels(x);
  const NodeId v = scope.linear("v", x, channels, false);
  const NodeId pooled = scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true});
  const NodeId logits = scope.linear("attn", pooled, heads * 81);
  const OutlookAttention op{heads, nn::attention_of(3 * channels, heads).scale};
  return scope.linear("proj", scope.node(op, {v, logits}, channels), channels);
}

NodeId attention(const Scope& scope, NodeId x, int64_t heads) {
  const int64_t channels = scope.channels(x);
  const NodeId qkv = scope.linear("qkv", x, 3 * channels, false);
  Attention op = nn::attention_of(3 * channels, heads);
  op.windows = Windows{};
  return scope.linear("proj", scope.node(op, {qkv, qkv, qkv}, channels), channels);
}

// The first token attends to all.
NodeId token_attention(const Scope& scope, NodeId x, int64_t heads) {
  const int64_t channels = scope.channels(x);
  const NodeId kv = scope.linear("kv", x, 2 * channels, false);
  const NodeId q = scope.linear("q", nn::first_token(scope, x), channels, false);
  return scope.linear("proj", nn::attend_to(scope, q, kv, heads), channels);
}

template <class Mix>
NodeId block(const Scope& scope, NodeId x, int64_t mlp_ratio, Mix&& mix) {
  x = scope.add(x, mix(scope["attn"], norm(scope, "norm1", x)));
  return scope.add(x, nn::mlp(scope["mlp"], norm(scope, "norm2", x), {.hidden = mlp_ratio * scope.channels(x)}));
}

NodeId class_block(const Scope& scope, NodeId x, int64_t heads, int64_t mlp_ratio) {
  const int64_t channels = scope.channels(x);
  NodeId token = nn::first_token(scope, x);
  token = scope.add(token, token_attention(scope["attn"], norm(scope, "norm1", x), heads));
  token = scope.add(token, nn::mlp(scope["mlp"], norm(scope, "norm2", token), {.hidden = mlp_ratio * channels}));
  return nn::join_tokens(scope, token, nn::other_tokens(scope, x));
}

// The logits of the pooled token, and half of the highest that any patch gives.
void head(Network& network, const Scope& root, NodeId x, std::string_view pool, int64_t num_classes) {
  const int64_t channels = root.channels(x);
  Linear aux;
  if (num_classes > 0) aux = root.declare_linear("aux_head", channels, num_classes);
  x = norm(root, "norm", x);
  network.features = x;
  network.token_features = true;
  network.num_features = channels;
  NodeId pooled = x;
  if (pool == "token") pooled = root["global_pool"].node(SelectToken{0}, {x}, channels);
  if (pool == "avg") pooled = root.global_pool("global_pool", x, PoolKind::avg);
  nn::linear_classifier(network, root, "head", pooled, num_classes);
  network.classifier.push_back("aux_head");
  if (num_classes == 0) return;
  for (const ParameterId id : {aux.weight, aux.bias}) network.graph.parameters[id].classifier = true;
  if (pool.empty()) return;
  const NodeId patches = root["aux_head"].node(DropTokens{1}, {x}, channels);
  const NodeId all = root["aux_head"].node(aux, {patches}, num_classes);
  const NodeId highest = root.global_pool("aux_pool", all, PoolKind::max);
  network.logits = root.add(network.logits, root["aux_pool"].scale(highest, 0.5f));
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"token", "avg", ""});
  const Variant& spec = find(variants, name);
  const int64_t channels = 2 * spec.channels;
  Network network;
  const Scope root(network.graph), stages = root["network"];
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  const Size2d grid{size[0] / 16, size[1] / 16};
  network.input = root.input({.channels = options.in_chans, .size = size});
  const ParameterId positions = root.parameter("pos_embed", {1, grid[0], grid[1], channels}, Init::token),
                    token = root.parameter("cls_token", {1, 1, channels}, Init::token);
  NodeId x = patches(root["patch_embed"], network.input, spec.stem_channels, spec.channels);
  for (int64_t i = 0; i < spec.depths[0]; ++i)
    x = block(stages[0][i], x, spec.mlp_ratio,
              [&](const Scope& scope, NodeId value) { return outlook(scope, value, spec.outlook_heads); });
  network.add_level(x, 8, stages[0].path());
  x = stages[1].conv2d("proj", x, {.out_channels = channels, .kernel = 2, .stride = 2, .bias = true});
  x = root["pos_embed"].node(AddGrid{.positions = positions, .grid = grid}, {x}, channels);
  for (int64_t stage = 1; stage < 4; ++stage) {
    for (int64_t i = 0; i < spec.depths[stage]; ++i)
      x = block(stages[stage + 1][i], x, spec.mlp_ratio,
                [&](const Scope& scope, NodeId value) { return attention(scope, value, spec.heads); });
    network.add_level(x, 16, stages[stage + 1].path());
  }
  network.out_indices = {1, 2, 3};
  x = root["tokens"].node(ToTokens{}, {x}, channels);
  x = root["cls_token"].node(ConcatTokens{}, {root["cls_token"].node(LearnedTokens{token, 1}, {x}, channels), x},
                             channels);
  for (int64_t i = 0; i < 2; ++i) x = class_block(root["post_network"][i], x, spec.heads, spec.mlp_ratio);
  head(network, root, x, options.global_pool.value_or("token"), options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family volo_family{"volo", names_of(variants), build_variant};

}  // namespace wimm
