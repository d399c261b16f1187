// EfficientViT of MIT (timm/models/efficientvit_mit.py). Paper: arXiv 2205.14756.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "wimm/error.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  std::array<int64_t, 5> channels, depths;  // of the stem and the stages
  int64_t head_depth;                       // channels of an attention head
  std::array<int64_t, 2> head_channels;     // of the classifier's layers
  bool large = false;                       // full convolutions where they cost little
};

struct Builder {
  const Spec& spec;

  Activation activation() const { return spec.large ? Activation::gelu_tanh : Activation::hard_swish; }

  // A convolution with a norm, or a bias where it has none, and an activation.
  struct ConvArgs {
    int64_t channels, kernel = 1, stride = 1, groups = 1;
    bool norm = true, activate = true;
  };
  NodeId conv(const Scope& scope, std::string_view name, NodeId x, const ConvArgs& args, bool bias = true) const {
    const Scope module = scope[name];
    x = module.conv2d("conv", x,
                      {.out_channels = args.channels,
                       .kernel = args.kernel,
                       .stride = args.stride,
                       .groups = args.groups,
                       .padding = nn::same_size_padding(args.kernel, args.stride),
                       .bias = bias && !args.norm});
    if (args.norm) x = module.batch_norm("norm", x, spec.large ? 1e-7 : 1e-5);
    return args.activate ? module.activate("act", x, activation()) : x;
  }

  // An inverted residual's convolutions; `norm` of those before the last.
  NodeId inverted(const Scope& scope, NodeId x, int64_t channels, int64_t stride, int64_t expansion, bool norm) const {
    const int64_t mid = scope.channels(x) * expansion;
    x = conv(scope, "inverted_conv", x, {.channels = mid, .norm = norm});
    x = conv(scope, "depth_conv", x, {mid, 3, stride, mid, norm});
    return conv(scope, "point_conv", x, {.channels = channels, .activate = false});
  }

  // The same with the first two in one.
  NodeId fused(const Scope& scope, NodeId x, int64_t channels, int64_t stride, int64_t expansion) const {
    x = conv(scope, "spatial_conv", x, {scope.channels(x) * expansion, 3, stride});
    return conv(scope, "point_conv", x, {.channels = channels, .activate = false});
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    const int64_t c = spec.channels[0];
    x = conv(scope, "in_conv", x, {c, 3, 2});
    for (int64_t i = 0; i < spec.depths[0]; ++i) {
      const Scope block = scope["res" + std::to_string(i)], main = block["main"];
      NodeId y = spec.large ? conv(main, "conv1", x, {c, 3}) : conv(main, "depth_conv", x, {c, 3, 1, c});
      y = spec.large ? conv(main, "conv2", y, {.channels = c, .kernel = 3, .activate = false})
                     : conv(main, "point_conv", y, {.channels = c, .activate = false});
      x = block.add(y, x);
    }
    return x;
  }

  // Linear attention at two scales: of the pixels, and of what a 5×5 convolution sees of them.
  NodeId attend(const Scope& scope, NodeId x) const {
    const int64_t channels = scope.channels(x), heads = channels / spec.head_depth, all = 3 * heads * spec.head_depth;
    const Scope aggregate = scope["aggreg"]["0"];
    const NodeId qkv = conv(scope, "qkv", x, {.channels = all, .norm = false, .activate = false}, false);
    NodeId wide =
        aggregate.conv2d("0", qkv, {.out_channels = all, .kernel = 5, .groups = all, .padding = nn::padding(2)});
    wide = aggregate.conv2d("1", wide, {.out_channels = all, .groups = 3 * heads});
    const NodeId mixed = scope.node(LinearAttention{.depth = spec.head_depth, .eps = 1e-5}, {scope.concat({qkv, wide})},
                                    2 * heads * spec.head_depth);
    return conv(scope, "proj", mixed, {.channels = channels, .activate = false});
  }

  NodeId attention_block(const Scope& scope, NodeId x, int64_t expansion) const {
    const Scope context = scope["context_module"], local = scope["local_module"];
    x = context.add(attend(context["main"], x), x);
    return local.add(inverted(local["main"], x, scope.channels(x), 1, expansion, false), x);
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const int64_t channels = spec.channels[index];
    const bool attentive = index > (spec.large ? 3 : 2), lean = spec.large ? index > 2 : attentive;
    const int64_t expansion = spec.large ? (attentive ? 24 : 16) : 4, residual_expansion = spec.large ? 6 : 4;
    const Scope blocks = scope["blocks"], first = blocks["0"]["main"];
    const bool is_fused = spec.large && !lean;
    x = is_fused ? fused(first, x, channels, 2, expansion) : inverted(first, x, channels, 2, expansion, !lean);
    const int64_t count = spec.depths[index] - (attentive || spec.large ? 0 : 1);
    for (int64_t i = 1; i <= count; ++i) {
      const Scope block = blocks[i], main = block["main"];
      if (attentive) {
        x = attention_block(block, x, residual_expansion);
      } else {
        const NodeId y = is_fused ? fused(main, x, channels, 1, 4) : inverted(main, x, channels, 1, 4, !lean);
        x = block.add(y, x);
      }
    }
    return x;
  }

  void head(Network& network, const Scope& scope, NodeId x, std::string_view pool, int64_t num_classes) const {
    if (pool.empty() || pool == "catavgmax")
      throw Error(ErrorCode::invalid_argument, "global pool " + quote(pool) + " does not suit this model's head");
    const Scope classifier = scope["classifier"];
    network.features = x;
    network.num_features = scope.channels(x);
    const Scope in = scope["in_conv"];
    x = in.conv2d("conv", x, {.out_channels = spec.head_channels[0]});
    x = in.activate("act", in.batch_norm("norm", x), activation());
    x = classifier.linear("0", nn::select_pool(scope, x, pool, num_classes), spec.head_channels[1], false);
    x = classifier.activate("2", classifier.layer_norm("1", x, spec.large ? 1e-7 : 1e-5), activation());
    nn::linear_classifier(network, classifier, "4", x, num_classes);
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec};
  const Scope root(network.graph);
  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  for (size_t s = 0; s < 4; ++s) {
    const Scope stage = root["stages"][static_cast<int64_t>(s)];
    x = builder.stage(stage, x, s + 1);
    network.add_level(x, 4 << s, stage.path());
  }
  builder.head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"efficientvit_b0", {{8, 16, 32, 64, 128}, {1, 2, 2, 2, 2}, 16, {1024, 1280}}},
    {"efficientvit_b1", {{16, 32, 64, 128, 256}, {1, 2, 3, 3, 4}, 16, {1536, 1600}}},
    {"efficientvit_b2", {{24, 48, 96, 192, 384}, {1, 3, 4, 4, 6}, 32, {2304, 2560}}},
    {"efficientvit_b3", {{32, 64, 128, 256, 512}, {1, 4, 6, 6, 9}, 32, {2304, 2560}}},
    {"efficientvit_l1", {{32, 64, 128, 256, 512}, {1, 1, 1, 6, 6}, 32, {3072, 3200}, true}},
    {"efficientvit_l2", {{32, 64, 128, 256, 512}, {1, 2, 2, 8, 8}, 32, {3072, 3200}, true}},
    {"efficientvit_l3", {{64, 128, 256, 512, 1024}, {1, 2, 2, 8, 8}, 32, {6144, 6400}, true}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family efficientvit_mit_family{"efficientvit_mit", names_of(variants), build_variant};

}  // namespace wimm
