// LeViT (timm/models/levit.py). Paper: arXiv 2104.01136.
#include <array>
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
using PerStage = std::array<int64_t, 3>;

struct Spec {
  PerStage channels;
  int64_t key_channels;  // of a head
  PerStage heads, depths;
  Activation activation = Activation::hard_swish;
  bool distilled = true;
  int64_t stem_stride = 16;

  constexpr Spec silu() const {
    Spec spec = *this;
    spec.activation = Activation::silu;
    return spec;
  }
  constexpr Spec no_dist() const {
    Spec spec = *this;
    spec.distilled = false;
    return spec;
  }
  constexpr Spec s8() const {
    Spec spec = *this;
    spec.stem_stride = 8;
    return spec;
  }
};

struct Variant {
  std::string_view name;
  Spec spec;
  bool conv;  // 1×1 convolutions and maps, where the others have linear layers and tokens
};

struct Builder {
  const Spec& spec;
  bool conv;
  Scope root;

  NodeId activate(const Scope& scope, NodeId x) const { return scope.activate("act", x, spec.activation); }

  // A layer of each pixel, normalised; of every second row and column where stride is 2.
  NodeId layer(const Scope& scope, NodeId x, int64_t channels, int64_t stride = 1) const {
    const Scope linear = scope["linear"];
    const int64_t in = scope.channels(x);
    Conv2d op{.out_channels = channels, .stride = {stride, stride}};
    op.weight = linear.parameter("weight", conv ? Shape{channels, in, 1, 1} : Shape{channels, in}, Init::conv);
    return scope.batch_norm("bn", linear.node(op, {x}, channels));
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    int64_t i = 1;
    for (int64_t divisor = spec.stem_stride / 2; divisor > 0; divisor /= 2, ++i) {
      const Scope conv = scope["conv" + std::to_string(i)];
      x = conv.conv2d(
          "linear", x,
          {.out_channels = spec.channels[0] / divisor, .kernel = 3, .stride = 2, .padding = nn::padding(1)});
      x = conv.batch_norm("bn", x);
      if (divisor > 1) x = activate(scope, x);
    }
    return x;
  }

  // Biased by the distance between query and key, rows and columns apart.
  RelativeBias distance_bias(const Scope& scope, Size2d grid, int64_t heads, int64_t stride) const {
    return {.grid = grid,
            .table = scope.parameter("attention_biases", {heads, grid[0] * grid[1]}, Init::zeros),
            .symmetric = true,
            .stride = stride};
  }

  // The caller says where queries, keys and values are.
  Attention biased_attention(const RelativeBias& bias, int64_t heads) const {
    Attention op = nn::attention_of(3 * heads * spec.key_channels, heads);
    op.bias = bias;
    return op;
  }

  NodeId attention(const Scope& scope, NodeId x, Size2d grid, int64_t heads) const {
    const int64_t depth = spec.key_channels, stride = 4 * depth, channels = 2 * depth * heads;
    Attention op = biased_attention(distance_bias(scope, grid, heads, 1), heads);
    op.q = {0, stride, depth};
    op.k = {depth, stride, depth};
    op.v = {2 * depth, stride, 2 * depth};
    const NodeId qkv = nn::to_tokens(scope, layer(scope["qkv"], x, heads * stride));
    const NodeId mixed = nn::to_image(scope, scope.node(op, {qkv, qkv, qkv}, channels), x);
    return layer(scope["proj"]["ln"], activate(scope["proj"], mixed), scope.channels(x));
  }

  // A quarter of the pixels ask all of them.
  NodeId attention_downsample(const Scope& scope, NodeId x, Size2d grid, int64_t out_channels) const {
    const int64_t depth = spec.key_channels, heads = scope.channels(x) / depth, stride = 5 * depth;
    Attention op = biased_attention(distance_bias(scope, grid, heads, 2), heads);
    op.q = {0, depth, depth};
    op.k = {0, stride, depth};
    op.v = {depth, stride, 4 * depth};
    const NodeId kv = nn::to_tokens(scope, layer(scope["kv"], x, heads * stride));
    const NodeId few = layer(scope["q"]["ln"], x, heads * depth, 2), q = nn::to_tokens(scope, few);
    const NodeId mixed = nn::to_image(scope, scope.node(op, {q, kv, kv}, 4 * depth * heads), few);
    return layer(scope["proj"]["ln"], activate(scope["proj"], mixed), out_channels);
  }

  NodeId mlp(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x);
    return layer(scope["ln2"], activate(scope, layer(scope["ln1"], x, 2 * channels)), channels);
  }

  // Its grid is halved first, but for the first stage.
  NodeId stage(const Scope& scope, NodeId x, size_t index, Size2d& grid) const {
    if (index > 0) {
      const Scope down = scope["downsample"];
      x = attention_downsample(down["attn_downsample"], x, grid, spec.channels[index]);
      x = down.add(x, mlp(down["mlp"], x));
      grid = {(grid[0] + 1) / 2, (grid[1] + 1) / 2};
    }
    for (int64_t i = 0; i < spec.depths[index]; ++i) {
      const Scope block = scope["blocks"][i];
      x = block.add(x, attention(block["attn"], x, grid, spec.heads[index]));
      x = block.add(x, mlp(block["mlp"], x));
    }
    return x;
  }

  NodeId classifier(Network& network, const Scope& scope, NodeId x, int64_t num_classes) const {
    nn::linear_classifier(network, scope, "linear", scope.batch_norm("bn", x), num_classes);
    return network.logits;
  }

  void head(Network& network, NodeId x, const BuildOptions& options) const {
    const std::string_view pool = nn::pool_of(options.global_pool, {"avg", ""});
    if (!conv) x = nn::to_tokens(root, x);
    network.features = x;
    network.token_features = !conv;
    network.num_features = spec.channels[2];
    x = nn::select_pool(root, x, pool, options.num_classes);
    network.pre_logits = network.logits = x;
    network.classifier = {"head", "head_dist"};
    if (options.num_classes == 0) return;
    NodeId logits = classifier(network, root["head"], x, options.num_classes);
    if (spec.distilled)
      logits = root.scale(root.add(logits, classifier(network, root["head_dist"], x, options.num_classes)), 0.5f);
    network.pre_logits = x;
    network.logits = logits;
    network.classifier = {"head", "head_dist"};
  }
};

Network build(const Variant& variant, const BuildOptions& options) {
  Network network;
  const Builder builder{variant.spec, variant.conv, Scope(network.graph)};
  const Scope& root = builder.root;
  const int64_t stride = variant.spec.stem_stride;
  const Size2d size = options.img_size.value_or(Size2d{224, 224});
  Size2d grid{size[0] / stride, size[1] / stride};
  if (grid[0] < 1 || grid[1] < 1)
    throw Error(ErrorCode::invalid_argument, "img_size must be at least " + std::to_string(stride) + " pixels, got " +
                                                 std::to_string(size[0]) + " × " + std::to_string(size[1]));
  network.input = root.input({.channels = options.in_chans, .size = size});
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t i = 0; i < 3; ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, x, i, grid);
    network.add_level(x, stride << i, scope.path());
  }
  builder.head(network, x, options);
  return network;
}

constexpr PerStage d4{4, 4, 4}, d486{4, 8, 6};
constexpr Spec l128s{{128, 256, 384}, 16, {4, 6, 8}, {2, 3, 4}}, l128{{128, 256, 384}, 16, {4, 8, 12}, d4},
    l192{{192, 288, 384}, 32, {3, 5, 6}, d4}, l256{{256, 384, 512}, 32, {4, 6, 8}, d4},
    l384{{384, 512, 768}, 32, {6, 9, 12}, d4}, l512{{512, 768, 1024}, 64, {8, 12, 16}, d4},
    l512_s8{{512, 640, 896}, 64, {8, 10, 14}, d4}, l256d{{256, 384, 512}, 32, {4, 6, 8}, d486},
    l512d{{512, 640, 768}, 64, {8, 10, 12}, d486};

constexpr Variant variants[] = {
    {"levit_128s", l128s, false},
    {"levit_128", l128, false},
    {"levit_192", l192, false},
    {"levit_256", l256, false},
    {"levit_384", l384, false},
    {"levit_384_s8", l384.silu().s8(), false},
    {"levit_512_s8", l512_s8.silu().s8().no_dist(), false},
    {"levit_512", l512.silu().no_dist(), false},
    {"levit_256d", l256d.silu().no_dist(), false},
    {"levit_512d", l512d.silu().no_dist(), false},
    {"levit_conv_128s", l128s, true},
    {"levit_conv_128", l128, true},
    {"levit_conv_192", l192, true},
    {"levit_conv_256", l256, true},
    {"levit_conv_384", l384, true},
    {"levit_conv_384_s8", l384.silu().s8(), true},
    {"levit_conv_512_s8", l512_s8.silu().s8().no_dist(), true},
    {"levit_conv_512", l512.silu().no_dist(), true},
    {"levit_conv_256d", l256d.silu().no_dist(), true},
    {"levit_conv_512d", l512d.silu().no_dist(), true},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name), options);
}

}  // namespace

extern constinit const Family levit_family{"levit", names_of(variants), build_variant};

}  // namespace wimm
