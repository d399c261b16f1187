// SelecSLS (timm/models/selecsls.py). Paper: XNect, arXiv 1907.00837.
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/variants.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

// The first block of a stage halves the size; its result joins every later block of the stage.
struct Block {
  int64_t middle, out;
  bool first = false;
};

struct HeadConv {
  int64_t out, kernel, stride;
};

struct Variant {
  std::string_view name;
  std::span<const Block> blocks;
  std::array<HeadConv, 4> head;
};

constexpr Block blocks_42[] = {{64, 64, true}, {64, 128}, {144, 144, true}, {144, 288}, {304, 304, true}, {304, 480}};

constexpr Block blocks_60[] = {{64, 64, true},   {64, 128},  {128, 128, true}, {128, 128}, {128, 288},
                               {288, 288, true}, {288, 288}, {288, 288},       {288, 416}};

constexpr Block blocks_84[] = {{64, 64, true}, {64, 144},  {144, 144, true}, {144, 144}, {144, 144},
                               {144, 144},     {144, 304}, {304, 304, true}, {304, 304}, {304, 304},
                               {304, 304},     {304, 304}, {304, 512}};

constexpr Variant variants[] = {
    {"selecsls42", blocks_42, {{{960, 3, 2}, {1024, 3, 1}, {1024, 3, 2}, {1280, 1, 1}}}},
    {"selecsls42b", blocks_42, {{{960, 3, 2}, {1024, 3, 1}, {1280, 3, 2}, {1024, 1, 1}}}},
    {"selecsls60", blocks_60, {{{756, 3, 2}, {1024, 3, 1}, {1024, 3, 2}, {1280, 1, 1}}}},
    {"selecsls60b", blocks_60, {{{756, 3, 2}, {1024, 3, 1}, {1280, 3, 2}, {1024, 1, 1}}}},
    {"selecsls84", blocks_84, {{{960, 3, 2}, {1024, 3, 1}, {1024, 3, 2}, {1280, 3, 1}}}},
};

NodeId conv_bn(const Scope& scope, NodeId x, int64_t channels, int64_t kernel, int64_t stride = 1) {
  x = scope.conv2d(
      "0", x,
      {.out_channels = channels, .kernel = kernel, .stride = stride, .padding = nn::same_size_padding(kernel, stride)});
  return scope.activate("2", scope.batch_norm("1", x), Activation::relu);
}

// `skip` is the result of the stage's first block.
NodeId selecsls_block(const Scope& scope, NodeId x, NodeId skip, const Block& block) {
  const int64_t middle = block.middle;
  const NodeId d1 = conv_bn(scope["conv1"], x, middle, 3, block.first ? 2 : 1);
  const NodeId d2 = conv_bn(scope["conv3"], conv_bn(scope["conv2"], d1, middle, 1), middle / 2, 3);
  const NodeId d3 = conv_bn(scope["conv5"], conv_bn(scope["conv4"], d2, middle, 1), middle / 2, 3);
  std::vector<NodeId> values{d1, d2, d3};
  if (!block.first) values.push_back(skip);
  return conv_bn(scope["conv6"], scope.concat(std::move(values)), block.out, 1);
}

Network build(std::string_view name, const BuildOptions& options) {
  const Variant& variant = find(variants, name);
  Network network;
  const Scope root(network.graph), features = root["features"], head = root["head"];
  int64_t reduction = 2;
  const auto add_level = [&](NodeId x, const Scope& scope) {
    network.add_level(x, reduction, scope.path());
    reduction *= 2;
  };

  network.input = root.input(options.in_chans);
  NodeId x = conv_bn(root["stem"], network.input, 32, 3, 2), skip = no_id;
  add_level(x, root["stem"]["2"]);
  for (size_t i = 0; i < variant.blocks.size(); ++i) {
    const Scope scope = features[static_cast<int64_t>(i)];
    x = selecsls_block(scope, x, skip, variant.blocks[i]);
    if (variant.blocks[i].first) skip = x;
    if (i + 1 == variant.blocks.size() || variant.blocks[i + 1].first) add_level(x, scope);
  }
  for (size_t i = 0; i < variant.head.size(); ++i) {
    const Scope scope = head[static_cast<int64_t>(i)];
    const auto [channels, kernel, stride] = variant.head[i];
    x = conv_bn(scope, x, channels, kernel, stride);
    if (i % 2 == 1) add_level(x, scope);
  }

  network.out_indices = {0, 1, 2, 3, 4};
  nn::linear_classifier_head(network, root, "fc", x, options.global_pool.value_or("avg"), options.num_classes);
  return network;
}

}  // namespace

extern constinit const Family selecsls_family{"selecsls", names_of(variants), build};

}  // namespace wimm
