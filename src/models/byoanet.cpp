// Networks of your own blocks that attend (timm/models/byoanet.py): BoTNet (arXiv 2101.11605), HaloNet (2103.12731) and
// LambdaNetworks (2102.08602).
#include <array>
#include <cmath>

#include "models/byob_builder.h"
#include "models/variants.h"
#include "nn/channels.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using namespace byob;
using nn::Scope;
using Kind = SelfAttention::Kind;

// Channels of a head's queries and keys.
int64_t query_channels(const SelfAttention& spec, int64_t channels) {
  if (spec.head_channels > 0) return spec.head_channels;
  return nn::make_divisible(static_cast<double>(channels) * spec.ratio) / spec.heads;
}

NodeId halve(const Scope& scope, NodeId x, int64_t stride) {
  return stride == 1 ? x : scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
}

// With biases by the products of queries with what is learned for the offsets of keys.
Attention attention_of(const Scope& scope, const SelfAttention& spec, int64_t channels, Size2d offsets) {
  const int64_t depth = query_channels(spec, channels), value_depth = channels / spec.heads;
  const auto learned = [&](std::string_view name, int64_t side) {
    return scope["pos_embed"].parameter(name, {2 * side - 1, depth}, Init::token);
  };
  Attention op = nn::attention_of(3 * channels, spec.heads);
  op.scale = 1 / std::sqrt(static_cast<double>(depth));
  op.q = op.k = {0, depth, depth};
  op.v = {0, value_depth, value_depth};
  op.products = OffsetProducts{
      .rows = learned("height_rel", offsets[0]), .columns = learned("width_rel", offsets[1]), .of_keys = true};
  op.windows = Windows{};
  return op;
}

NodeId attend_to_all(const Scope& scope, NodeId x, const SelfAttention& spec, int64_t stride, Size2d grid) {
  const int64_t channels = scope.channels(x), width = spec.heads * query_channels(spec, channels);
  const NodeId qkv = scope.conv2d("qkv", x, {.out_channels = 2 * width + channels});
  Attention op = attention_of(scope, spec, channels, grid);
  op.k.begin = width;
  op.v.begin = 2 * width;
  return halve(scope, scope.node(op, {qkv, qkv, qkv}, channels), stride);
}

// Blocks of one size; of every second pixel, where the stride is 2 and divides them.
NodeId attend_around(const Scope& scope, NodeId x, const SelfAttention& spec, int64_t stride) {
  const int64_t channels = scope.channels(x), depth = query_channels(spec, channels), width = spec.heads * depth;
  const int64_t query_stride = spec.block % stride == 0 ? stride : 1, side = spec.block + 2 * spec.halo;
  const NodeId q = scope.conv2d("q", x, {.out_channels = width, .stride = query_stride});
  const NodeId kv = scope.conv2d("kv", x, {.out_channels = width + channels});
  Attention op = attention_of(scope, spec, channels, {side, side});
  // A head's keys and values are together.
  const int64_t value_depth = channels / spec.heads;
  op.k = {0, depth + value_depth, depth};
  op.v = {depth, depth + value_depth, value_depth};
  op.windows = Windows{.size = {spec.block, spec.block}, .halo = spec.halo};
  return halve(scope, scope.node(op, {q, kv, kv}, channels), stride / query_stride);
}

NodeId lambda(const Scope& scope, NodeId x, const SelfAttention& spec, int64_t stride, Size2d grid) {
  const int64_t channels = scope.channels(x), depth = 16, width = spec.heads * depth, values = channels / spec.heads;
  LambdaLayer op{.heads = spec.heads, .kernel = {spec.kernel, spec.kernel}, .weight = no_id, .last = spec.kernel == 0};
  if (op.last) {
    op.kernel = {2 * grid[0] - 1, 2 * grid[1] - 1};
    op.weight = scope.parameter("pos_emb", {op.kernel[0], op.kernel[1], depth}, Init::token);
  }
  const NodeId qkv = scope.conv2d("qkv", x, {.out_channels = width + depth + values});
  const NodeId q = scope.batch_norm("norm_q", scope.slice(qkv, 0, width)), k = scope.slice(qkv, width, depth),
               v = scope.batch_norm("norm_v", scope.slice(qkv, width + depth, values));
  if (!op.last) {
    const Scope conv = scope["conv_lambda"];
    op.weight = conv.parameter("weight", {depth, 1, spec.kernel, spec.kernel, 1}, Init::conv);
    op.bias = conv.parameter("bias", {depth}, Init::zeros);
  }
  return halve(scope, scope.node(op, {q, k, v}, channels), stride);
}

NodeId attend(const Scope& scope, NodeId x, const SelfAttention& spec, int64_t stride, Size2d grid) {
  if (spec.kind == Kind::all) return attend_to_all(scope, x, spec, stride, grid);
  return spec.kind == Kind::halo ? attend_around(scope, x, spec, stride) : lambda(scope, x, spec, stride, grid);
}

constexpr SelfAttention all{.kind = Kind::all};
constexpr SelfAttention halo(int64_t width, int64_t block = 8) {
  return {.kind = Kind::halo, .heads = 8, .block = block, .halo = width};
}
constexpr SelfAttention lambda_of(int64_t kernel) { return {.kind = Kind::lambda, .kernel = kernel}; }

// The same of some blocks alone, and of heads of so many channels.
constexpr SelfAttention from(SelfAttention spec, int64_t first, int64_t step = 100) {
  spec.first = first;
  spec.step = step;
  return spec;
}
constexpr SelfAttention heads_of(int64_t channels, SelfAttention spec) {
  spec.head_channels = channels;
  return spec;
}
constexpr SelfAttention heads(int64_t count, SelfAttention spec) {
  spec.heads = count;
  return spec;
}

using Attentions = std::array<SelfAttention, 4>;
using Depths = std::array<int64_t, 4>;
using Four = std::array<double, 4>;

constexpr Spec net(const Depths& depths, const Four& channels, const Attentions& attentions, int64_t group_size = 0) {
  Spec spec{.stages = {}, .stem = Stem::tiered, .activation = Activation::silu, .self_attention = attend};
  for (size_t i = 0; i < 4; ++i) {
    spec.stages[i] = {BlockType::bottleneck, depths[i], channels[i], i == 0 ? 1 : 2, group_size, 0.25};
    spec.stages[i].attention = attentions[i];
  }
  return spec;
}

constexpr Four wide{256, 512, 1024, 2048}, narrow{256, 512, 1024, 1536};
constexpr Depths d26{2, 2, 2, 2}, d33{2, 3, 3, 2}, d50{3, 4, 6, 3};

// Of 26 layers, the last three attending, with a pool behind the stem.
constexpr Spec net26(const SelfAttention& attention, int64_t group_size = 0) {
  return net(d26, wide, {SelfAttention{}, SelfAttention{}, from(attention, 1), attention}, group_size)
      .with(&Spec::stem_pool, Pool::max3);
}
constexpr Spec eca26(const SelfAttention& attention) {
  return net26(heads_of(16, attention), 16).with(&Spec::gate, Gate::eca);
}
constexpr Spec net33(const SelfAttention& attention) {
  Spec spec = net(d33, narrow, {SelfAttention{}, from(attention, 2), from(attention, 2), attention})
                  .with(&Spec::gate, Gate::se)
                  .with(&Spec::num_features, 1280);
  spec.stages[3].bottleneck = 0.333;
  return spec;
}
// Of 50, every second one attending in the last stages.
constexpr Spec net50(const SelfAttention& second, const SelfAttention& third, const SelfAttention& fourth) {
  return net(d50, wide, {SelfAttention{}, second, from(third, 1, 2), from(fourth, 1, 2)});
}
constexpr Spec pooled50(const SelfAttention& attention, const SelfAttention& second) {
  return net50(from(second, 3), attention, attention).with(&Spec::stem_pool, Pool::max3);
}
constexpr Spec relu(const Spec& spec) { return spec.with(&Spec::activation, Activation::relu); }
constexpr Spec at256(const Spec& spec) { return spec.with(&Spec::img_size, int64_t{256}); }

constexpr Spec halonet_h1() {
  Spec spec = relu(net({3, 3, 10, 3}, {64, 128, 256, 512}, {halo(3), halo(3), halo(3), halo(3)}))
                  .with(&Spec::stem, Stem::seven)
                  .with(&Spec::stem_pool, Pool::max3);
  for (Stage& stage : spec.stages) stage.bottleneck = 1;
  return spec;
}

constexpr Spec haloregnetz() {
  SelfAttention attention = halo(2, 7);
  attention.ratio = 0.33;
  Spec spec =
      net({2, 6, 12, 2}, {48, 96, 192, 288}, {SelfAttention{}, SelfAttention{}, from(attention, 3, 4), attention}, 16);
  for (Stage& stage : spec.stages) stage.bottleneck = 3;
  spec.stages[0].stride = 2;
  spec.stem = Stem::plain;
  spec.stem_channels = 32;
  spec.num_features = 1536;
  spec.shortcut = Shortcut::none;
  spec.gate = Gate::se;
  spec.se_ratio = 0.25;
  spec.bottle_in = spec.linear_out = true;
  return spec;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"botnet26t_256", at256(relu(net26(all)))},
    {"sebotnet33ts_256", at256(net33(all))},
    {"botnet50ts_256", at256(pooled50(all, all))},
    {"eca_botnext26ts_256", at256(eca26(all))},
    {"halonet_h1", halonet_h1()},
    {"halonet26t", relu(net26(halo(2)))},
    {"sehalonet33ts", net33(halo(3))},
    {"halonet50ts", pooled50(halo(3), heads(4, halo(3)))},
    {"eca_halonext26ts", eca26(halo(2))},
    {"lambda_resnet26t", relu(net26(lambda_of(9)))},
    {"lambda_resnet50ts", pooled50(lambda_of(9), lambda_of(9))},
    {"lambda_resnet26rpt_256", at256(relu(net26(lambda_of(0))))},
    {"haloregnetz_b", haloregnetz()},
    {"halo2botnet50ts_256", at256(net50(from(halo(3), 1, 2), halo(3), all))},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family byoanet_family{"byoanet", names_of(variants), build_variant};

}  // namespace wimm
