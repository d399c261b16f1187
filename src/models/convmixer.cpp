// ConvMixer (timm/models/convmixer.py). Paper: arXiv 2201.09792.
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"

namespace wimm {
namespace {

using nn::Scope;

struct Spec {
  int64_t channels, depth, kernel, patch;
  Activation activation = Activation::gelu;
};

// A convolution "<first>", its activation, and the norm behind that, "<first + 2>".
NodeId conv(const Scope& scope, int64_t first, NodeId x, nn::ConvOptions options, Activation activation) {
  options.bias = true;
  x = scope.activate("act", scope.conv2d(std::to_string(first), x, options), activation);
  return scope.batch_norm(std::to_string(first + 2), x);
}

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Scope root(network.graph);
  const int64_t channels = spec.channels;
  network.input = root.input(options.in_chans);
  NodeId x = conv(root["stem"], 0, network.input,
                  {.out_channels = channels, .kernel = spec.patch, .stride = spec.patch}, spec.activation);
  for (int64_t i = 0; i < spec.depth; ++i) {
    const Scope block = root["blocks"][i];
    const NodeId y = conv(block["0"]["fn"], 0, x,
                          {.out_channels = channels,
                           .kernel = spec.kernel,
                           .groups = channels,
                           .padding = nn::same_size_padding(spec.kernel)},
                          spec.activation);
    x = conv(block, 1, block.add(y, x), {.out_channels = channels}, spec.activation);
    network.add_level(x, spec.patch, block.path());
    if (i + 3 >= spec.depth) network.out_indices.push_back(i);
  }
  nn::linear_classifier_head(network, root, "head", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"convmixer_1536_20", {1536, 20, 9, 7}},
    {"convmixer_768_32", {768, 32, 7, 7, Activation::relu}},
    {"convmixer_1024_20_ks9_p14", {1024, 20, 9, 14}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family convmixer_family{"convmixer", names_of(variants), build_variant};

}  // namespace wimm
