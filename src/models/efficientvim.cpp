// EfficientViM: pixels are summed into a few states, which are mixed, and give themselves back to the pixels
// (timm/models/efficientvim.py). Paper: arXiv 2411.15241.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"
#include "nn/transformer.h"

namespace wimm {
namespace {

using nn::Scope;
using Sizes = std::array<int64_t, 3>;

struct Spec {
  Sizes channels, depths{2, 2, 2}, states{49, 25, 9};
};

struct Variant {
  std::string_view name;
  Spec spec;
  bool distilled = false;  // a second head, whose results are averaged with those of the first
};

constexpr Spec m1{{128, 192, 320}}, m2{{128, 256, 512}}, m3{{224, 320, 512}},
    m4{{224, 320, 512}, {3, 4, 2}, {64, 32, 16}};

constexpr Variant variants[] = {
    {"efficientvim_m1", m1}, {"efficientvim_m1_dist", m1, true},
    {"efficientvim_m2", m2}, {"efficientvim_m2_dist", m2, true},
    {"efficientvim_m3", m3}, {"efficientvim_m3_dist", m3, true},
    {"efficientvim_m4", m4}, {"efficientvim_m4_dist", m4, true},
};

constexpr double eps = 1e-5;

NodeId conv_norm(const Scope& scope, NodeId x, const nn::ConvOptions& options,
                 Activation activation = Activation::identity) {
  return scope.activate("act", scope.batch_norm("norm", scope.conv2d("conv", x, options)), activation);
}

// A depthwise layer whose parameters timm has behind those of layers that follow it.
struct Depthwise {
  Scope scope;
  int64_t channels;
  NodeId conv, result;

  Depthwise(const Scope& place, NodeId x)
      : scope(place),
        channels(place.channels(x)),
        conv(place["conv"].node(Conv2d{}, {x}, channels)),
        result(place["norm"].node(Affine{}, {conv}, channels)) {}

  NodeId declare() const {
    auto& nodes = scope.graph().nodes;
    nodes[conv].op = scope.declare_conv2d(
        "conv", channels, {.out_channels = channels, .kernel = 3, .groups = channels, .padding = nn::padding(1)});
    nodes[result].op = scope.declare_batch_norm("norm", channels);
    return result;
  }
};

NodeId stem(const Scope& scope, NodeId x, int64_t channels) {
  for (int64_t i = 0; i < 4; ++i)
    x = conv_norm(scope[i], x,
                  {.out_channels = channels >> (3 - i), .kernel = 3, .stride = 2, .padding = nn::padding(1)},
                  i < 3 ? Activation::relu : Activation::identity);
  return x;
}

NodeId merge_patches(const Scope& scope, NodeId x, int64_t channels) {
  const int64_t hidden = 4 * channels;
  const Scope conv = scope["conv"];
  const Depthwise before(scope["dwconv1"], x);
  x = conv_norm(conv["0"], scope.add(x, before.result), {.out_channels = hidden}, Activation::relu);
  x = conv_norm(conv["1"], x,
                {.out_channels = hidden, .kernel = 3, .stride = 2, .groups = hidden, .padding = nn::padding(1)},
                Activation::relu);
  const int64_t reduced = nn::make_divisible(static_cast<double>(hidden) / 4, 8, 0, 0);
  x = conv_norm(conv["3"], nn::squeeze_excite(conv["2"], x, {.reduced_channels = reduced}), {.out_channels = channels});
  before.declare();
  return scope.add(x, Depthwise(scope["dwconv2"], x).declare());
}

NodeId feed_forward(const Scope& scope, NodeId x) {
  const int64_t channels = scope.channels(x);
  x = conv_norm(scope["fc1"], x, {.out_channels = 4 * channels}, Activation::relu);
  return conv_norm(scope["fc2"], x, {.out_channels = channels});
}

// timm's ConvLayer1d of kernel 1.
NodeId pointwise(const Scope& scope, NodeId x, int64_t out) {
  const Scope conv = scope["conv"];
  const ParameterId weight = conv.parameter("weight", {out, scope.channels(x), 1}, Init::conv);
  return conv.node(Linear{.out_features = out, .weight = weight}, {x}, out);
}

// An image [N, H, W, C] and states [N, S, C].
struct Mixed {
  NodeId image, states;
};

// State space duality with a mixer of hidden states: b · softmax(dt) of a state weighs the pixels that it sums up, and
// c says how much of it each pixel gets. "A" is added to all that the softmax compares, and changes nothing.
Mixed mix_states(const Scope& scope, NodeId image, int64_t count) {
  const int64_t channels = scope.channels(image), projected = 3 * count;
  scope.parameter("A", {count}, Init::ones);
  const Affine d{.weight = scope.parameter("D", {1}, Init::ones)};
  const NodeId bcdt = nn::to_tokens(
      scope,
      scope["dw"].conv2d("conv", pointwise(scope["BCdt_proj"], image, projected),
                         {.out_channels = projected, .kernel = 3, .groups = projected, .padding = nn::padding(1)}));
  const NodeId b = scope.slice(bcdt, 0, count), c = scope.slice(bcdt, count, count),
               dt = scope.slice(bcdt, 2 * count, count);
  const NodeId weights = scope.mul(scope["softmax"].node(SoftmaxTokens{}, {dt}, count), b);
  NodeId states = scope.node(MatMul{.transposed = true}, {weights, nn::to_tokens(scope, image)}, channels);
  const NodeId hz = pointwise(scope["hz_proj"], states, 2 * channels), h = scope.slice(hz, 0, channels),
               z = scope.activate("act", scope.slice(hz, channels, channels), Activation::silu);
  states = pointwise(scope["out_proj"], scope.add(scope.mul(h, z), scope["D"].node(d, {h}, channels)), channels);
  return {nn::to_image(scope, scope.node(MatMul{}, {c, states}, channels), image), states};
}

// Each branch replaces a share of its input, learned for each channel.
Mixed block(const Scope& scope, NodeId x, int64_t states) {
  const int64_t channels = scope.channels(x);
  const ParameterId alpha = scope.parameter("alpha", {4, channels}, Init::layer_scale);
  const Scope place = scope["alpha"];
  const NodeId shares =
      place.activate("sigmoid", place.node(LearnedTokens{alpha, 4}, {x}, channels), Activation::sigmoid);
  const auto blend = [&](NodeId branch, int64_t index) {
    const NodeId share = place.node(SelectToken{index}, {shares}, channels);
    x = scope.add(x, scope.mul(scope.node(Binary{Binary::Kind::sub}, {branch, x}, channels), share));
  };
  const Depthwise first(scope["dwconv1"], x);
  blend(first.result, 0);
  const NodeId normed = scope["norm"].node(LayerNorm{}, {x}, channels);
  const Mixed mixed = mix_states(scope["mixer"], normed, states);
  scope.graph().nodes[normed].op = scope.declare_layer_norm("norm", channels, eps);
  first.declare();
  blend(mixed.image, 1);
  blend(Depthwise(scope["dwconv2"], x).declare(), 2);
  blend(feed_forward(scope["ffn"], x), 3);
  return {x, mixed.states};
}

// Σ share · logits, of a classifier for each of the pooled values [N, 1, C], whose shares are the softmax of `weights`.
NodeId fuse_heads(Network& network, const Scope& scope, ParameterId weights, const std::vector<NodeId>& pooled,
                  int64_t num_classes) {
  const auto count = static_cast<int64_t>(pooled.size());
  std::vector<NodeId> logits;
  for (int64_t i = 0; i < count; ++i) {
    network.classifier.push_back(scope[i].path());
    if (num_classes == 0) continue;
    logits.push_back(scope.linear(std::to_string(i), pooled[static_cast<size_t>(i)], num_classes));
    const auto& layer = std::get<Linear>(network.graph.nodes[logits.back()].op);
    for (const ParameterId id : {layer.weight, layer.bias}) network.graph.parameters[id].classifier = true;
  }
  if (num_classes == 0) return network.pre_logits;
  NodeId shares = scope["weights"].node(LearnedTokens{weights, count}, {pooled[0]}, 1);
  shares = scope["weights"].node(SoftmaxTokens{}, {shares}, 1);
  const NodeId all = scope.node(ConcatTokens{}, std::move(logits), num_classes);
  return scope.node(SelectToken{0}, {scope.node(MatMul{.transposed = true}, {shares, all}, num_classes)}, num_classes);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  nn::pool_of(options.global_pool, {"avg"});
  const auto& [_, spec, distilled] = find(variants, name);
  Network network;
  const Scope root(network.graph);
  const ParameterId weights = root.parameter("weights", {4}, Init::ones),
                    weights_dist = distilled ? root.parameter("weights_dist", {4}, Init::ones) : no_id;
  network.input = root.input(options.in_chans);
  NodeId x = stem(root["patch_embed"]["conv"], network.input, spec.channels[0]);
  std::vector<NodeId> states;
  for (size_t i = 0; i < 3; ++i) {
    const Scope stage = root["stages"][static_cast<int64_t>(i)];
    Mixed mixed{x, no_id};
    for (int64_t k = 0; k < spec.depths[i]; ++k) mixed = block(stage["blocks"][k], mixed.image, spec.states[i]);
    network.add_level(mixed.image, 16 << i, stage.path());
    states.push_back(mixed.states);
    x = i < 2 ? merge_patches(stage["downsample"], mixed.image, spec.channels[i + 1]) : mixed.image;
  }
  std::vector<NodeId> pooled;
  const Scope norm = root["norm"], pool = root["global_pool"];
  for (size_t i = 0; i < 3; ++i)
    pooled.push_back(
        pool.node(PoolTokens{spec.states[i]}, {norm.layer_norm(std::to_string(i), states[i], eps)}, spec.channels[i]));
  x = pool.global_pool("3", norm.layer_norm("3", x, eps), PoolKind::avg, true);
  pooled.push_back(nn::to_tokens(pool, x));

  // The features of timm are four tensors, which is none for forward_features.
  const NodeId joined = root.concat(pooled);
  network.num_features = root.channels(joined);
  network.pre_logits = root["pre_logits"].node(SelectToken{0}, {joined}, network.num_features);
  network.logits = fuse_heads(network, root["heads"], weights, pooled, options.num_classes);
  if (distilled) {
    const NodeId logits_dist = fuse_heads(network, root["heads_dist"], weights_dist, pooled, options.num_classes);
    if (options.num_classes > 0) network.logits = root.scale(root.add(network.logits, logits_dist), 0.5f);
  }
  return network;
}

}  // namespace

extern constinit const Family efficientvim_family{"efficientvim", names_of(variants), build_variant};

}  // namespace wimm
