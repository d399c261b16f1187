// ResNet and its kin: ResNeXt, SE-ResNet, ECA-ResNet, ResNet-D, -T, -S, -RS, anti-aliased ones (timm/models/resnet.py).
// Papers: ResNet arXiv 1512.03385, ResNeXt 1611.05431, SE 1709.01507, bag of tricks (C, D, S stems) 1812.01187,
// blur pooling 1904.11486, ECA 1910.03151, pruning 2002.08258, ResNet-RS 2103.07579.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/families.h"
#include "models/resnet_pruned.h"
#include "models/variants.h"
#include "nn/attention.h"
#include "nn/blur_pool.h"
#include "nn/channels.h"
#include "nn/head.h"
#include "nn/scope.h"

namespace wimm {
namespace {

using nn::Scope;

enum class Block : uint8_t { basic, bottleneck };
enum class Stem : uint8_t { plain, deep, tiered };  // one 7×7 convolution; three 3×3; three, the first narrower
enum class Norm : uint8_t { batch, group };
enum class Attention : uint8_t { none, squeeze_excite, eca };
enum class AntiAlias : uint8_t { none, average, blur };

// A variant; each function gives it one more property, named after timm's argument or suffix.
struct Spec {
  std::array<Block, 4> blocks;
  std::array<int64_t, 4> layers;
  std::array<int64_t, 4> channels{64, 128, 256, 512};
  Stem stem = Stem::plain;
  int64_t stem_width = 64;
  bool avg_down = false;   // downsampling shortcuts pool, then project
  bool conv_pool = false;  // the stem ends with a convolution instead of max pooling
  int64_t cardinality = 1, base_width = 64;
  int64_t reduce_first = 1, down_kernel = 1;
  Norm norm = Norm::batch;
  Attention attention = Attention::none;
  double se_ratio = 1.0 / 16;
  AntiAlias anti_alias = AntiAlias::none;
  std::span<const PrunedBlock> pruned{};  // widths block by block, where they do not follow from `channels`

  constexpr Spec with(auto Spec::* member, auto value) const {
    Spec spec = *this;
    spec.*member = value;
    return spec;
  }
  constexpr Spec deep(int64_t width) const { return with(&Spec::stem, Stem::deep).with(&Spec::stem_width, width); }
  constexpr Spec c() const { return deep(32); }
  constexpr Spec d() const { return c().with(&Spec::avg_down, true); }
  constexpr Spec s() const { return deep(64); }
  constexpr Spec t() const { return d().with(&Spec::stem, Stem::tiered); }
  constexpr Spec rs() const { return d().with(&Spec::conv_pool, true).se(0.25); }
  constexpr Spec groups(int64_t count, int64_t width) const {
    return with(&Spec::cardinality, count).with(&Spec::base_width, width);
  }
  constexpr Spec wide(int64_t width) const { return groups(1, width); }
  constexpr Spec gn() const { return with(&Spec::norm, Norm::group); }
  constexpr Spec se(double ratio = 1.0 / 16) const {
    return with(&Spec::attention, Attention::squeeze_excite).with(&Spec::se_ratio, ratio);
  }
  constexpr Spec eca() const { return with(&Spec::attention, Attention::eca); }
  constexpr Spec prune(std::span<const PrunedBlock> widths) const { return with(&Spec::pruned, widths); }
  constexpr Spec aa() const { return with(&Spec::anti_alias, AntiAlias::average); }
  constexpr Spec blur() const { return with(&Spec::anti_alias, AntiAlias::blur); }
};

constexpr Spec basic(int64_t a, int64_t b, int64_t c, int64_t d) {
  return {.blocks = {Block::basic, Block::basic, Block::basic, Block::basic}, .layers = {a, b, c, d}};
}

constexpr Spec bottleneck(int64_t a, int64_t b, int64_t c, int64_t d) {
  return {.blocks = {Block::bottleneck, Block::bottleneck, Block::bottleneck, Block::bottleneck},
          .layers = {a, b, c, d}};
}

// Widths of one block's convolutions.
struct Widths {
  int64_t first, middle, out;
  int64_t eca_channels;  // those before pruning, which keeps the attention's kernel
};

struct Builder {
  const Spec& spec;
  Scope root;

  NodeId norm(const Scope& scope, std::string_view name, NodeId x) const {
    return spec.norm == Norm::group ? scope.group_norm(name, x, 32) : scope.batch_norm(name, x);
  }

  NodeId relu(const Scope& scope, std::string_view name, NodeId x) const {
    return scope.activate(name, x, Activation::relu);
  }

  NodeId conv3x3(const Scope& scope, std::string_view name, NodeId x, int64_t channels, int64_t stride = 1,
                 int64_t groups = 1) const {
    return scope.conv2d(
        name, x,
        {.out_channels = channels, .kernel = 3, .stride = stride, .groups = groups, .padding = nn::padding(1)});
  }

  NodeId conv1x1(const Scope& scope, std::string_view name, NodeId x, int64_t channels) const {
    return scope.conv2d(name, x, {.out_channels = channels});
  }

  NodeId stem(NodeId x) const {
    if (spec.stem == Stem::plain) {
      x = root.conv2d("conv1", x, {.out_channels = 64, .kernel = 7, .stride = 2, .padding = nn::padding(3)});
    } else {
      const Scope conv1 = root["conv1"];
      const int64_t width = spec.stem_width;
      x = conv3x3(conv1, "0", x, spec.stem == Stem::tiered ? width / 4 * 3 : width, 2);
      x = relu(conv1, "2", norm(conv1, "1", x));
      x = conv3x3(conv1, "3", x, width);
      x = relu(conv1, "5", norm(conv1, "4", x));
      x = conv3x3(conv1, "6", x, width * 2);
    }
    return relu(root, "act1", norm(root, "bn1", x));
  }

  NodeId stem_pool(NodeId x) const {
    const Scope maxpool = root["maxpool"];
    if (spec.conv_pool) {
      x = conv3x3(maxpool, "0", x, root.channels(x), 2);
      return relu(maxpool, "2", norm(maxpool, "1", x));
    }
    switch (spec.anti_alias) {
      case AntiAlias::average:
        return root.avg_pool("maxpool", x, {.kernel = {2, 2}, .stride = {2, 2}});
      case AntiAlias::blur:
        x = maxpool.max_pool("0", x, {.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1)});
        return nn::blur_pool(maxpool["1"], x);
      case AntiAlias::none:
        break;
    }
    return root.max_pool("maxpool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
  }

  // A 3×3 convolution of stride 2, or one of stride 1 whose activation is then downsampled without aliasing.
  NodeId strided_conv(const Scope& scope, const std::string& index, NodeId x, int64_t channels, int64_t stride,
                      int64_t groups) const {
    const bool anti_alias = stride > 1 && spec.anti_alias != AntiAlias::none;
    x = conv3x3(scope, "conv" + index, x, channels, anti_alias ? 1 : stride, groups);
    x = relu(scope, "act" + index, norm(scope, "bn" + index, x));
    if (!anti_alias) return x;
    if (spec.anti_alias == AntiAlias::blur) return nn::blur_pool(scope["aa"], x);
    return scope.avg_pool("aa", x, {.kernel = {2, 2}, .stride = {2, 2}});
  }

  NodeId attention(const Scope& scope, NodeId x, const Widths& widths) const {
    switch (spec.attention) {
      case Attention::squeeze_excite: {
        const double reduced = static_cast<double>(widths.out) * spec.se_ratio;
        return nn::squeeze_excite(scope, x, {.reduced_channels = nn::make_divisible(reduced, 8, 0, 0)});
      }
      case Attention::eca:
        return nn::efficient_channel_attention(scope, x, nn::eca_kernel(widths.eca_channels));
      case Attention::none:
        break;
    }
    return x;
  }

  NodeId shortcut(const Scope& scope, NodeId x, int64_t channels, int64_t stride) const {
    if (spec.avg_down) {
      if (stride > 1) {
        x = scope.avg_pool(
            "0", x, {.kernel = {2, 2}, .stride = {stride, stride}, .ceil_mode = true, .count_include_pad = false});
      }
      return norm(scope, "2", conv1x1(scope, "1", x, channels));
    }
    const int64_t kernel = stride == 1 ? 1 : spec.down_kernel;
    x = scope.conv2d("0", x,
                     {.out_channels = channels,
                      .kernel = kernel,
                      .stride = stride,
                      .padding = nn::same_size_padding(kernel, stride)});
    return norm(scope, "1", x);
  }

  NodeId block(const Scope& scope, Block kind, NodeId input, const Widths& widths, int64_t stride, bool project) const {
    NodeId x = input;
    if (kind == Block::basic) {
      x = strided_conv(scope, "1", x, widths.first, stride, 1);
      x = norm(scope, "bn2", conv3x3(scope, "conv2", x, widths.out));
    } else {
      x = relu(scope, "act1", norm(scope, "bn1", conv1x1(scope, "conv1", x, widths.first)));
      x = strided_conv(scope, "2", x, widths.middle, stride, spec.cardinality);
      x = norm(scope, "bn3", conv1x1(scope, "conv3", x, widths.out));
    }
    x = attention(scope["se"], x, widths);
    if (project) input = shortcut(scope["downsample"], input, widths.out, stride);
    return relu(scope, kind == Block::basic ? "act2" : "act3", scope.add(x, input));
  }

  // `index` counts blocks through the whole net.
  Widths widths(size_t stage, size_t index) const {
    const int64_t planes = spec.channels[stage];
    if (spec.blocks[stage] == Block::basic) {
      return {.first = planes / spec.reduce_first, .middle = planes, .out = planes, .eca_channels = planes};
    }
    const int64_t middle = planes * spec.base_width / 64 * spec.cardinality, out = planes * 4;
    if (spec.pruned.empty()) {
      return {.first = middle / spec.reduce_first, .middle = middle, .out = out, .eca_channels = out};
    }
    const PrunedBlock& pruned = spec.pruned[index];
    return {.first = pruned.conv1, .middle = pruned.conv2, .out = pruned.conv3, .eca_channels = out};
  }
};

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  const Builder builder{spec, Scope(network.graph)};
  const Scope& root = builder.root;

  network.input = root.input(options.in_chans);
  NodeId x = builder.stem(network.input);
  network.feature_info.push_back({x, root.channels(x), 2, "act1"});
  x = builder.stem_pool(x);

  size_t index = 0;
  for (size_t stage = 0; stage < spec.layers.size(); ++stage) {
    const std::string name = "layer" + std::to_string(stage + 1);
    for (int64_t i = 0; i < spec.layers[stage]; ++i) {
      const Widths widths = builder.widths(stage, index++);
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const bool project = i == 0 && (stride > 1 || root.channels(x) != widths.out);
      x = builder.block(root[name][i], spec.blocks[stage], x, widths, stride, project);
    }
    network.feature_info.push_back({x, root.channels(x), 4 << stage, name});
  }

  network.features = x;
  network.num_features = root.channels(x);
  x = nn::select_pool(root, x, options.global_pool.value_or("avg"), options.num_classes);
  nn::linear_classifier(network, root, "fc", x, options.num_classes);
  return network;
}

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"resnet10t", basic(1, 1, 1, 1).t()},
    {"resnet14t", bottleneck(1, 1, 1, 1).t()},
    {"resnet18", basic(2, 2, 2, 2)},
    {"resnet18d", basic(2, 2, 2, 2).d()},
    {"resnet34", basic(3, 4, 6, 3)},
    {"resnet34d", basic(3, 4, 6, 3).d()},
    {"resnet26", bottleneck(2, 2, 2, 2)},
    {"resnet26t", bottleneck(2, 2, 2, 2).t()},
    {"resnet26d", bottleneck(2, 2, 2, 2).d()},
    {"resnet50", bottleneck(3, 4, 6, 3)},
    {"resnet50c", bottleneck(3, 4, 6, 3).c()},
    {"resnet50d", bottleneck(3, 4, 6, 3).d()},
    {"resnet50s", bottleneck(3, 4, 6, 3).s()},
    {"resnet50t", bottleneck(3, 4, 6, 3).t()},
    {"resnet101", bottleneck(3, 4, 23, 3)},
    {"resnet101c", bottleneck(3, 4, 23, 3).c()},
    {"resnet101d", bottleneck(3, 4, 23, 3).d()},
    {"resnet101s", bottleneck(3, 4, 23, 3).s()},
    {"resnet152", bottleneck(3, 8, 36, 3)},
    {"resnet152c", bottleneck(3, 8, 36, 3).c()},
    {"resnet152d", bottleneck(3, 8, 36, 3).d()},
    {"resnet152s", bottleneck(3, 8, 36, 3).s()},
    {"resnet200", bottleneck(3, 24, 36, 3)},
    {"resnet200d", bottleneck(3, 24, 36, 3).d()},
    {"wide_resnet50_2", bottleneck(3, 4, 6, 3).wide(128)},
    {"wide_resnet101_2", bottleneck(3, 4, 23, 3).wide(128)},
    {"resnet50_gn", bottleneck(3, 4, 6, 3).gn()},
    {"resnext50_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4)},
    {"resnext50d_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).d()},
    {"resnext101_32x4d", bottleneck(3, 4, 23, 3).groups(32, 4)},
    {"resnext101_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8)},
    {"resnext101_32x16d", bottleneck(3, 4, 23, 3).groups(32, 16)},
    {"resnext101_32x32d", bottleneck(3, 4, 23, 3).groups(32, 32)},
    {"resnext101_64x4d", bottleneck(3, 4, 23, 3).groups(64, 4)},
    {"ecaresnet26t", bottleneck(2, 2, 2, 2).t().eca()},
    {"ecaresnet50d", bottleneck(3, 4, 6, 3).d().eca()},
    {"ecaresnet50d_pruned", bottleneck(3, 4, 6, 3).d().eca().prune(pruned_50)},
    {"ecaresnet50t", bottleneck(3, 4, 6, 3).t().eca()},
    {"ecaresnetlight", bottleneck(1, 1, 11, 3).eca().with(&Spec::avg_down, true)},
    {"ecaresnet101d", bottleneck(3, 4, 23, 3).d().eca()},
    {"ecaresnet101d_pruned", bottleneck(3, 4, 23, 3).d().eca().prune(pruned_101)},
    {"ecaresnet200d", bottleneck(3, 24, 36, 3).d().eca()},
    {"ecaresnet269d", bottleneck(3, 30, 48, 8).d().eca()},
    {"ecaresnext26t_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().eca()},
    {"ecaresnext50t_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).t().eca()},
    {"seresnet18", basic(2, 2, 2, 2).se()},
    {"seresnet34", basic(3, 4, 6, 3).se()},
    {"seresnet50", bottleneck(3, 4, 6, 3).se()},
    {"seresnet50t", bottleneck(3, 4, 6, 3).t().se()},
    {"seresnet101", bottleneck(3, 4, 23, 3).se()},
    {"seresnet152", bottleneck(3, 8, 36, 3).se()},
    {"seresnet152d", bottleneck(3, 8, 36, 3).d().se()},
    {"seresnet200d", bottleneck(3, 24, 36, 3).d().se()},
    {"seresnet269d", bottleneck(3, 30, 48, 8).d().se()},
    {"seresnext26d_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).d().se()},
    {"seresnext26t_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().se()},
    {"seresnext50_32x4d", bottleneck(3, 4, 6, 3).groups(32, 4).se()},
    {"seresnext101_32x4d", bottleneck(3, 4, 23, 3).groups(32, 4).se()},
    {"seresnext101_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).se()},
    {"seresnext101d_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).d().se()},
    {"seresnext101_64x4d", bottleneck(3, 4, 23, 3).groups(64, 4).se()},
    {"senet154", bottleneck(3, 8, 36, 3).groups(64, 4).deep(64).se().with(&Spec::reduce_first, 2).with(&Spec::down_kernel, 3)},
    {"resnetblur18", basic(2, 2, 2, 2).blur()},
    {"resnetblur50", bottleneck(3, 4, 6, 3).blur()},
    {"resnetblur50d", bottleneck(3, 4, 6, 3).d().blur()},
    {"resnetblur101d", bottleneck(3, 4, 23, 3).d().blur()},
    {"resnetaa34d", basic(3, 4, 6, 3).d().aa()},
    {"resnetaa50", bottleneck(3, 4, 6, 3).aa()},
    {"resnetaa50d", bottleneck(3, 4, 6, 3).d().aa()},
    {"resnetaa101d", bottleneck(3, 4, 23, 3).d().aa()},
    {"seresnetaa50d", bottleneck(3, 4, 6, 3).d().aa().se()},
    {"seresnextaa101d_32x8d", bottleneck(3, 4, 23, 3).groups(32, 8).d().aa().se()},
    {"seresnextaa201d_32x8d", bottleneck(3, 24, 36, 4).groups(32, 8).deep(64).with(&Spec::avg_down, true).aa().se()},
    {"resnetrs50", bottleneck(3, 4, 6, 3).rs()},
    {"resnetrs101", bottleneck(3, 4, 23, 3).rs()},
    {"resnetrs152", bottleneck(3, 8, 36, 3).rs()},
    {"resnetrs200", bottleneck(3, 24, 36, 3).rs()},
    {"resnetrs270", bottleneck(4, 29, 53, 4).rs()},
    {"resnetrs350", bottleneck(4, 36, 72, 4).rs()},
    {"resnetrs420", bottleneck(4, 44, 87, 4).rs()},
    {"test_resnet", {.blocks = {Block::basic, Block::basic, Block::bottleneck, Block::basic}, .layers = {1, 1, 1, 1},
                     .channels = {32, 48, 48, 96}, .stem = Stem::deep, .stem_width = 16, .avg_down = true}},
    // Those of timm 0.3.4 that later releases no longer name; "tn" is today's "t".
    {"ecaresnet18", basic(2, 2, 2, 2).eca()},
    {"ecaresnet50", bottleneck(3, 4, 6, 3).eca()},
    {"ecaresnext26tn_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).t().eca()},
    {"resnet101d_320", bottleneck(3, 4, 23, 3).d()},
    {"resnet152d_320", bottleneck(3, 8, 36, 3).d()},
    {"resnet200d_320", bottleneck(3, 24, 36, 3).d()},
    {"seresnet50tn", bottleneck(3, 4, 6, 3).t().se()},
    {"seresnet152d_320", bottleneck(3, 8, 36, 3).d().se()},
    {"seresnext26_32x4d", bottleneck(2, 2, 2, 2).groups(32, 4).se()},
};
// clang-format on

std::vector<std::string_view> list() { return names_of(variants); }

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

Family resnet_family() { return {"resnet", list, build_variant}; }

}  // namespace wimm
