// VoVNet and VoVNetV2 (timm/models/vovnet.py). Papers: arXiv 1904.09730, 1911.06667 (effective squeeze-and-excitation);
// ECA 1910.03151, EvoNorm 2004.02967, in-place activated batch norm 1712.02616.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

enum class Attention : uint8_t { none, effective_squeeze_excite, eca };

// A variant; each function gives it one more property.
struct Spec {
  std::array<int64_t, 4> blocks;  // in each stage
  int64_t layers;                 // in each block
  std::array<int64_t, 3> stem_channels{64, 64, 128};
  std::array<int64_t, 4> conv_channels{128, 160, 192, 224};
  std::array<int64_t, 4> out_channels{256, 512, 768, 1024};
  bool residual = false;
  bool depthwise = false;
  Attention attention = Attention::none;
  nn::NormAct norm_act{};

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  // The second version: residual, with attention.
  constexpr Spec b(Attention kind = Attention::effective_squeeze_excite) const {
    return with(&Spec::residual, true).with(&Spec::attention, kind);
  }
  constexpr Spec slim() const {
    return with(&Spec::conv_channels, std::array<int64_t, 4>{64, 80, 96, 112})
        .with(&Spec::out_channels, std::array<int64_t, 4>{112, 256, 384, 512});
  }
  constexpr Spec dw() const {
    return with(&Spec::depthwise, true).with(&Spec::stem_channels, std::array<int64_t, 3>{64, 64, 64});
  }
};

struct Builder {
  const Spec& spec;
  Scope root;

  NodeId conv(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t kernel = 1,
              int64_t stride = 1) const {
    return conv_norm_act(scope, name, x,
                         {.out_channels = channels,
                          .kernel = kernel,
                          .stride = stride,
                          .padding = nn::same_size_padding(kernel, stride)},
                         spec.norm_act);
  }

  // A 3×3 convolution, depthwise and pointwise where the variant is.
  NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1) const {
    if (!spec.depthwise) return conv(scope, name, x, channels, 3, stride);
    const Scope module = scope[name];
    const int64_t in = scope.channels(x);
    x = module.conv2d("conv_dw", x,
                      {.out_channels = in, .kernel = 3, .stride = stride, .groups = in, .padding = nn::padding(1)});
    return nn::norm_act(module, "bn", module.conv2d("conv_pw", x, {.out_channels = channels}), spec.norm_act);
  }

  NodeId attention(const Scope& scope, NodeId x) const {
    switch (spec.attention) {
      case Attention::effective_squeeze_excite:
        return nn::effective_squeeze_excite(scope, x);
      case Attention::eca:
        return nn::efficient_channel_attention(scope, x, nn::eca_kernel(scope.channels(x)));
      case Attention::none:
        break;
    }
    return x;
  }

  // One-shot aggregation: the input and the result of each layer, all together.
  NodeId aggregate(const Scope& scope, NodeId x, int64_t channels) const {
    std::vector<NodeId> values{x};
    if (spec.depthwise && root.channels(x) != channels) x = conv(scope, "conv_reduction", x, channels);
    for (int64_t i = 0; i < spec.layers; ++i) {
      x = conv3x3(scope["conv_mid"], std::to_string(i), x, channels);
      values.push_back(x);
    }
    return scope.concat(std::move(values));
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    if (index > 0) x = scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true});
    for (int64_t i = 0; i < spec.blocks[index]; ++i) {
      const Scope block = scope["blocks"][i];
      const NodeId aggregated = aggregate(block, x, spec.conv_channels[index]);
      NodeId y = conv(block, "conv_concat", aggregated, spec.out_channels[index]);
      if (i + 1 == spec.blocks[index]) y = attention(block["attn"], y);
      x = spec.residual && i > 0 ? block.add(y, x) : y;
    }
    return x;
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  const Scope &root = builder.root, stem = root["stem"];

  network.input = root.input(options.in_chans);
  NodeId x = builder.conv(stem, "0", network.input, spec.stem_channels[0], 3, 2);
  x = builder.conv3x3(stem, "1", x, spec.stem_channels[1]);
  network.add_level(x, 2, stem["1"].path());
  x = builder.conv3x3(stem, "2", x, spec.stem_channels[2], 2);
  for (size_t i = 0; i < spec.blocks.size(); ++i) {
    const Scope scope = root["stages"][static_cast<int64_t>(i)];
    x = builder.stage(scope, x, i);
    network.add_level(x, 4 << i, scope.path());
  }
  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

constexpr nn::NormAct evos{.norm = nn::Norm::evo_s0};
constexpr nn::NormAct iabn{.activation = Activation::leaky_relu, .norm = nn::Norm::inplace};
constexpr Spec v19{{1, 1, 1, 1}, 3}, v39{{1, 1, 2, 2}, 5}, v57{{1, 1, 4, 3}, 5}, v99{{1, 3, 9, 3}, 5};

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"vovnet39a", v39},
    {"vovnet57a", v57},
    {"ese_vovnet19b_slim_dw", v19.b().slim().dw()},
    {"ese_vovnet19b_dw", v19.b().dw()},
    {"ese_vovnet19b_slim", v19.b().slim()},
    {"ese_vovnet39b", v39.b()},
    {"ese_vovnet57b", v57.b()},
    {"ese_vovnet99b", v99.b()},
    {"eca_vovnet39b", v39.b(Attention::eca)},
    {"ese_vovnet39b_evos", v39.b().with(&Spec::norm_act, evos)},
    // That of timm 0.3.4 which later releases no longer name.
    {"ese_vovnet99b_iabn", v99.b().with(&Spec::norm_act, iabn)},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family vovnet_family{"vovnet", names_of(variants), build_variant};

}  // namespace wimm
