// CoaT: attention between channels of heads, with positions from convolutions, at four scales (timm/models/coat.py).
// Paper: arXiv 2104.06399.
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/transformer.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;

constexpr size_t scales = 4;
using Sizes = std::array<int64_t, scales>;
using Values = std::array<NodeId, scales>;  // tokens behind a class token, or images

struct Variant {
  std::string_view name;
  Sizes channels, depths;
  int64_t parallel_depth = 0;  // of the blocks in which three scales exchange what they have
  Sizes mlp_ratios{4, 4, 4, 4};
  int64_t img_size = 224;
};

constexpr Sizes twos{2, 2, 2, 2}, lite_ratios{8, 8, 4, 4};

// clang-format off
constexpr Variant variants[] = {
    {"coat_tiny", {152, 152, 152, 152}, twos, 6},
    {"coat_mini", {152, 216, 216, 216}, twos, 6},
    {"coat_small", {152, 320, 320, 320}, twos, 6},
    {"coat_lite_tiny", {64, 128, 256, 320}, twos, 0, lite_ratios},
    {"coat_lite_mini", {64, 128, 320, 512}, twos, 0, lite_ratios},
    {"coat_lite_small", {64, 128, 320, 512}, {3, 4, 6, 3}, 0, lite_ratios},
    {"coat_lite_medium", {128, 256, 320, 512}, {3, 6, 10, 8}},
    {"coat_lite_medium_384", {128, 256, 320, 512}, {3, 6, 10, 8}, 0, {4, 4, 4, 4}, 384},
};
// clang-format on

constexpr int64_t heads = 8;

// A depthwise convolution that blocks share. Checkpoints have it under each block's name, of which the last counts.
class SharedConv {
 public:
  SharedConv(int64_t channels, int64_t kernel)
      : options_{.out_channels = channels,
                 .kernel = kernel,
                 .groups = channels,
                 .padding = nn::padding(kernel / 2),
                 .bias = true} {}

  void declare(const Scope& scope, std::string_view name) {
    op_ = scope.declare_conv2d(name, options_.out_channels, options_);
    for (const NodeId id : nodes_) scope.graph().nodes[id].op = op_;
  }

  int64_t channels() const { return options_.out_channels; }

  NodeId node(const Scope& scope, NodeId x) { return nodes_.emplace_back(scope.node(op_, {x}, channels())); }

 private:
  nn::ConvOptions options_;
  Conv2d op_{};
  std::vector<NodeId> nodes_;
};

// What the blocks of a scale share.
struct Scale {
  NodeId image = no_id;              // of the height and width that its tokens have
  SharedConv positions;              // "cpe"
  std::vector<SharedConv> relative;  // "crpe": of two, three and three heads

  explicit Scale(int64_t channels) : positions(channels, 3) {
    const int64_t depth = channels / heads;
    relative = {{2 * depth, 3}, {3 * depth, 5}, {3 * depth, 7}};
  }

  void declare_positions(const Scope& scope) { positions.declare(scope, "proj"); }

  void declare_relative(const Scope& scope) {
    for (size_t i = 0; i < relative.size(); ++i) relative[i].declare(scope["conv_list"], std::to_string(i));
  }

  NodeId image_of(const Scope& scope, NodeId x) const { return nn::to_image(scope, nn::other_tokens(scope, x), image); }

  // The class token of x, and the pixels of an image.
  NodeId tokens_of(const Scope& scope, NodeId x, NodeId pixels) const {
    return nn::join_tokens(scope, nn::first_token(scope, x), nn::to_tokens(scope, pixels));
  }

  NodeId add_positions(const Scope& scope, NodeId x) {
    const NodeId pixels = image_of(scope, x);
    return tokens_of(scope, x, scope.add(positions.node(scope, pixels), pixels));
  }

  // q · (softmax(k)ᵀ · v), the softmax over tokens, and of pixels also q · convolution(v).
  NodeId attend(const Scope& scope, NodeId x) {
    const int64_t channels = scope.channels(x), depth = channels / heads;
    const NodeId qkv = scope.linear("qkv", x, 3 * channels), q = scope.slice(qkv, 0, channels),
                 k = scope.slice(qkv, channels, channels), v = scope.slice(qkv, 2 * channels, channels);
    const Linear proj = scope.declare_linear("proj", channels, channels);
    declare_relative(scope["crpe"]);
    const NodeId weights = scope["softmax"].node(SoftmaxTokens{}, {k}, channels);
    const NodeId context =
        scope.scale(scope.node(MatMul{heads, true}, {weights, v}, channels), 1 / std::sqrt(static_cast<float>(depth)));
    const NodeId mixed = scope.node(MatMul{heads}, {q, context}, channels);

    const NodeId values = image_of(scope, v);
    std::vector<NodeId> parts;
    int64_t begin = 0;
    for (SharedConv& conv : relative) {
      parts.push_back(conv.node(scope["crpe"], scope.slice(values, begin, conv.channels())));
      begin += conv.channels();
    }
    const NodeId encoded = scope.mul(image_of(scope, q), scope.concat(std::move(parts)));
    const NodeId sum = tokens_of(scope, mixed, scope.add(image_of(scope, mixed), encoded));
    return scope["proj"].node(proj, {sum}, channels);
  }
};

using Scales = std::vector<Scale>;

NodeId serial_block(const Scope& scope, NodeId x, Scale& scale, int64_t mlp_ratio) {
  scale.declare_positions(scope["cpe"]);
  x = scale.add_positions(scope["cpe"], x);
  x = scope.add(x, scale.attend(scope["factoratt_crpe"], scope.layer_norm("norm1", x)));
  return scope.add(x, nn::mlp(scope["mlp"], scope.layer_norm("norm2", x), {.hidden = mlp_ratio * scope.channels(x)}));
}

// Tokens of one scale at the size of another.
NodeId interpolate(const Scope& scope, NodeId x, const Scale& from, const Scale& to) {
  const NodeId pixels = from.image_of(scope, x);
  return from.tokens_of(scope, x,
                        scope.node(Interpolate{Interpolate::Mode::bilinear}, {pixels, to.image}, scope.channels(x)));
}

// Of all scales but the first, each gets the sum of what all attend to. They share an MLP.
void parallel_block(const Scope& scope, Values& x, Scales& all, int64_t mlp_ratio) {
  const auto name = [](std::string_view module, size_t i) { return std::string(module) + std::to_string(i + 1); };
  const int64_t channels = scope.channels(x[1]), hidden = mlp_ratio * channels;
  Values normed, attended;
  for (size_t i = 1; i < scales; ++i) normed[i] = scope.layer_norm(name("norm1", i), x[i]);
  for (size_t i = 1; i < scales; ++i) attended[i] = all[i].attend(scope[name("factoratt_crpe", i)], normed[i]);
  for (size_t i = 1; i < scales; ++i) {
    NodeId sum = attended[i];
    for (size_t k = 1; k < scales; ++k)
      if (k != i) sum = scope.add(sum, interpolate(scope, attended[k], all[k], all[i]));
    x[i] = scope.add(x[i], sum);
  }
  for (size_t i = 1; i < scales; ++i) normed[i] = scope.layer_norm(name("norm2", i), x[i]);
  Linear fc1, fc2;
  for (size_t i = 1; i < scales; ++i) {
    fc1 = scope[name("mlp", i)].declare_linear("fc1", channels, hidden);
    fc2 = scope[name("mlp", i)].declare_linear("fc2", hidden, channels);
  }
  for (size_t i = 1; i < scales; ++i) {
    const Scope mlp = scope[name("mlp", i)];
    const NodeId active = mlp.activate("act", mlp["fc1"].node(fc1, {normed[i]}, hidden), Activation::gelu);
    x[i] = scope.add(x[i], mlp["fc2"].node(fc2, {active}, channels));
  }
}

// Of three scales, pooled and mixed. The features of timm are three tensors, which is none for forward_features.
void aggregate_head(Network& network, const Scope& root, const Values& x, const Scales& all, std::string_view pool,
                    int64_t num_classes) {
  const int64_t channels = root.channels(x[3]);
  std::vector<NodeId> pooled;
  for (size_t i = 1; i < scales; ++i)
    pooled.push_back(pool == "token" ? nn::first_token(root, x[i])
                                     : nn::to_tokens(root, root.global_pool("global_pool", all[i].image_of(root, x[i]),
                                                                            PoolKind::avg, true)));
  const Scope aggregate = root["aggregate"];
  const MixTokens mix{.tokens = 3,
                      .out_tokens = 1,
                      .weight = aggregate.parameter("weight", {1, 3, 1}, Init::conv),
                      .bias = aggregate.parameter("bias", {1}, Init::zeros)};
  const NodeId joined = root.node(ConcatTokens{}, std::move(pooled), channels);
  network.num_features = channels;
  nn::linear_classifier(network, root, "head",
                        root.node(SelectToken{0}, {aggregate.node(mix, {joined}, channels)}, channels), num_classes);
}

Network build_variant(std::string_view name, const BuildOptions& options) {
  const std::string_view pool = nn::pool_of(options.global_pool, {"token", "avg"});
  const Variant& spec = find(variants, name);
  const Size2d size = options.img_size.value_or(Size2d{spec.img_size, spec.img_size});
  const auto suits = [&](int64_t side) { return side >= 32 && (spec.parallel_depth == 0 || side % 32 == 0); };
  if (!suits(size[0]) || !suits(size[1]))
    throw Error(ErrorCode::invalid_argument,
                "img_size must be multiples of 32, got " + std::to_string(size[0]) + " × " + std::to_string(size[1]));
  Network network;
  const Scope root(network.graph);
  const auto module = [&](std::string_view stem, size_t i) { return root[std::string(stem) + std::to_string(i + 1)]; };

  std::array<ParameterId, scales> class_tokens;
  std::array<Conv2d, scales> projections;
  std::array<LayerNorm, scales> norms;
  Scales all(spec.channels.begin(), spec.channels.end());
  for (size_t i = 0; i < scales; ++i)
    class_tokens[i] = root.parameter("cls_token" + std::to_string(i + 1), {1, 1, spec.channels[i]}, Init::token);
  for (size_t i = 0; i < scales; ++i) {
    const int64_t patch = i == 0 ? 4 : 2, in = i == 0 ? options.in_chans : spec.channels[i - 1];
    projections[i] =
        module("patch_embed", i)
            .declare_conv2d("proj", in,
                            {.out_channels = spec.channels[i], .kernel = patch, .stride = patch, .bias = true});
    norms[i] = module("patch_embed", i).declare_layer_norm("norm", spec.channels[i], 1e-5);
  }
  network.graph.parameters[projections[0].weight].takes_input = true;
  for (size_t i = 0; i < scales; ++i) all[i].declare_positions(module("cpe", i));
  for (size_t i = 0; i < scales; ++i) all[i].declare_relative(module("crpe", i));

  network.input = root.input({.channels = options.in_chans, .size = size});
  Values x;
  for (size_t i = 0; i < scales; ++i) {
    const Scope embed = module("patch_embed", i), blocks = module("serial_blocks", i);
    const int64_t channels = spec.channels[i];
    NodeId image = i == 0 ? network.input : all[i - 1].image_of(embed, x[i - 1]);
    image = embed["norm"].node(norms[i], {embed["proj"].node(projections[i], {image}, channels)}, channels);
    all[i].image = image;
    x[i] = nn::join_tokens(embed, module("cls_token", i).node(LearnedTokens{class_tokens[i], 1}, {image}, channels),
                           nn::to_tokens(embed, image));
    for (int64_t k = 0; k < spec.depths[i]; ++k) x[i] = serial_block(blocks[k], x[i], all[i], spec.mlp_ratios[i]);
  }
  const Scope parallel = root["parallel_blocks"];
  for (int64_t k = 0; k < spec.parallel_depth; ++k) {
    for (size_t i = 1; i < scales; ++i) x[i] = all[i].add_positions(module("cpe", i), x[i]);
    parallel_block(parallel[k], x, all, spec.mlp_ratios[1]);
  }
  for (size_t i = 0; i < scales; ++i) {
    const Scope level = i > 0 && spec.parallel_depth > 0 ? parallel : module("serial_blocks", i);
    network.add_level(all[i].image_of(level, x[i]), 4 << i, level.path());
  }
  for (size_t i = spec.parallel_depth > 0 ? 1 : 3; i < scales; ++i)
    x[i] = root.layer_norm("norm" + std::to_string(i + 1), x[i]);
  network.unused_modules = {"norm1"};  // of the authors' net
  if (spec.parallel_depth > 0) {
    aggregate_head(network, root, x, all, pool, options.num_classes);
  } else {
    network.unused_modules.insert(network.unused_modules.end(), {"norm2", "norm3", "aggregate"});
    nn::token_classifier_head(network, root, x[3], pool, options.num_classes);
  }
  return network;
}

}  // namespace

extern constinit const Family coat_family{"coat", names_of(variants), build_variant};

}  // namespace wimm
