// Modified aligned Xception (timm/models/xception_aligned.py). Papers: arXiv 1610.02357, 1802.02611.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/conv_norm_act.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

// Three separable convolutions, the last one strided.
struct Module {
  std::array<int64_t, 3> channels;
  int64_t stride = 1;
  bool last = false;  // no shortcut; activations follow normalisations
};

constexpr Module module(int64_t channels, int64_t stride) { return {{channels, channels, channels}, stride}; }

struct Spec {
  std::span<const Module> entry;
  int64_t middle;       // modules of 728 channels
  bool preact = false;  // normalisation and activation come before each separable convolution
  double eps = 1e-3;
};

constexpr Module entry_3[] = {module(128, 2), module(256, 2), module(728, 2)};
constexpr Module entry_5[] = {module(128, 2), module(256, 1), module(256, 2), module(728, 1), module(728, 2)};
constexpr Module exit_modules[] = {{{728, 1024, 1024}, 2}, {{1536, 1536, 2048}, 1, true}};

std::vector<Module> modules(const Spec& spec) {
  std::vector<Module> all(spec.entry.begin(), spec.entry.end());
  all.insert(all.end(), static_cast<size_t>(spec.middle), module(728, 1));
  all.insert(all.end(), std::begin(exit_modules), std::end(exit_modules));
  return all;
}

// What a module gives: its output, and what enters its last convolution.
struct Tapped {
  NodeId output, tap;
};

struct Builder {
  const Spec& spec;

  NodeId depthwise(const Scope& scope, NodeId x, int64_t stride) const {
    const int64_t channels = scope.channels(x);
    return scope.conv2d(
        "conv_dw", x,
        {.out_channels = channels, .kernel = 3, .stride = stride, .groups = channels, .padding = nn::padding(1)});
  }

  NodeId pointwise(const Scope& scope, NodeId x, int64_t channels) const {
    return scope.conv2d("conv_pw", x, {.out_channels = channels});
  }

  NodeId norm_act(const Scope& scope, std::string_view name, NodeId x) const {
    return scope.activate("act", scope.batch_norm(name, x, spec.eps), Activation::relu);
  }

  NodeId separable_conv(const Scope& scope, NodeId x, int64_t channels, int64_t stride, bool activate) const {
    const Activation activation = activate ? Activation::relu : Activation::identity;
    x = scope.batch_norm("bn_dw", depthwise(scope, x, stride), spec.eps);
    x = scope.activate("act_dw", x, activation);
    x = scope.batch_norm("bn_pw", pointwise(scope, x, channels), spec.eps);
    return scope.activate("act_pw", x, activation);
  }

  Tapped module(const Scope& scope, const Module& module, NodeId input) const {
    NodeId shortcut = input, x = input, tap = input;
    if (!module.last && (module.channels[2] != scope.channels(input) || module.stride > 1)) {
      shortcut =
          nn::conv_norm_act(scope, "shortcut", input, {.out_channels = module.channels[2], .stride = module.stride},
                            {.activation = Activation::identity, .eps = spec.eps});
    }
    const Scope stack = scope["stack"];
    for (int i = 0; i < 3; ++i) {
      const std::string number = std::to_string(i + 1);
      if (!module.last) x = stack.activate("act" + number, x, Activation::relu);
      tap = x;
      x = separable_conv(stack["conv" + number], x, module.channels[i], i == 2 ? module.stride : 1, module.last);
    }
    return {module.last ? x : scope.add(x, shortcut), tap};
  }

  Tapped preact_module(const Scope& scope, const Module& module, NodeId input) const {
    const bool project = !module.last && (module.channels[2] != scope.channels(input) || module.stride > 1);
    Conv2d projection;  // declared before the normalisation that it follows
    if (project) {
      projection = scope.declare_conv2d("shortcut", scope.channels(input),
                                        {.out_channels = module.channels[2], .stride = module.stride});
    }
    NodeId x = norm_act(scope, "norm", input), tap = x;
    const NodeId shortcut = project ? scope["shortcut"].node(projection, {x}, projection.out_channels) : x;
    for (int i = 0; i < 3; ++i) {
      const Scope conv = scope["stack"]["conv" + std::to_string(i + 1)];
      tap = x;
      if (i > 0) x = norm_act(conv, "norm", x);
      x = pointwise(conv, depthwise(conv, x, i == 2 ? module.stride : 1), module.channels[i]);
    }
    return {module.last ? x : scope.add(x, shortcut), tap};
  }

  NodeId stem(const Scope& scope, NodeId x) const {
    const Padding same = nn::padding(1);
    x = nn::conv_norm_act(scope, "0", x, {.out_channels = 32, .kernel = 3, .stride = 2, .padding = same},
                          {.eps = spec.eps});
    const nn::ConvOptions second{.out_channels = 64, .kernel = 3, .padding = same};
    return spec.preact ? scope.conv2d("1", x, second) : nn::conv_norm_act(scope, "1", x, second, {.eps = spec.eps});
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const Builder builder{spec};

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(root["stem"], network.input);
  int64_t index = 0, reduction = 2;
  for (const Module& module : modules(spec)) {
    const Scope scope = root["blocks"][index++];
    const Tapped tapped = spec.preact ? builder.preact_module(scope, module, x) : builder.module(scope, module, x);
    if (module.stride > 1) {
      const Scope tap = scope["stack"][spec.preact ? "conv2" : "act3"];
      network.add_level(tapped.tap, reduction, tap.path());
      reduction *= module.stride;
    }
    x = tapped.output;
  }
  network.add_level(x, reduction, root["blocks"][index - 1].path());
  if (spec.preact) x = root.activate("act", x, Activation::relu);

  nn::classifier_head(network, root["head"], x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"xception41", {entry_3, 8}},
    {"xception65", {entry_3, 16}},
    {"xception71", {entry_5, 16}},
    {"xception41p", {.entry = entry_3, .middle = 8, .preact = true, .eps = 1e-5}},
    {"xception65p", {.entry = entry_3, .middle = 16, .preact = true}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family xception_aligned_family{"xception_aligned", names_of(variants), build_variant};

}  // namespace wimm
