// Blocks, stages, stem and head.
#include "models/byob_builder.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "nn/attention.h"
#include "nn/channels.h"
#include "nn/head.h"

namespace wimm::byob {
namespace {

using nn::Scope;

int64_t group_count(int64_t group_size, int64_t channels) { return group_size > 0 ? channels / group_size : 1; }

struct ConvArgs {
  int64_t out_channels, kernel = 1, stride = 1, groups = 1;
  bool activate = true;
};

// What a block is made of.
struct BlockArgs {
  int64_t out_channels, stride, group_size;
  double bottleneck;
  bool attention;
  int64_t kernel = 3;
  const SelfAttention* self_attention = nullptr;
  Size2d grid{};  // the block's height and width, where they are known
};

class Layers {
 public:
  explicit Layers(const Spec& spec) : spec_(spec) {}

  nn::NormAct norm_act(bool activate = true) const {
    return {.activation = activate ? spec_.activation : Activation::identity, .norm = spec_.norm};
  }

  NodeId conv(const Scope& scope, std::string_view name, NodeId x, const ConvArgs& args) const {
    return nn::conv_norm_act(scope, name, x,
                             {.out_channels = args.out_channels,
                              .kernel = args.kernel,
                              .stride = args.stride,
                              .groups = args.groups,
                              .padding = nn::same_size_padding(args.kernel, args.stride)},
                             norm_act(args.activate));
  }

  // As in blocks, where a strided one may leave the stride to an average.
  NodeId block_conv(const Scope& scope, std::string_view name, NodeId x, ConvArgs args) const {
    if (!spec_.anti_alias || args.stride == 1) return conv(scope, name, x, args);
    args.stride = 1;
    return scope[name].avg_pool("aa", conv(scope, name, x, args), {.kernel = {2, 2}, .stride = {2, 2}});
  }

  NodeId activate(const Scope& scope, NodeId x) const { return scope.activate("act", x, spec_.activation); }

  NodeId attention(const Scope& scope, std::string_view name, NodeId x) const {
    const Scope module = scope[name];
    const auto channels = static_cast<double>(scope.channels(x));
    switch (spec_.gate) {
      case Gate::se:
        return nn::squeeze_excite(
            module, x, {.reduced_channels = nn::make_divisible(channels * spec_.se_ratio, spec_.se_divisor, 0, 0)});
      case Gate::eca:
        return nn::efficient_channel_attention(module, x, nn::eca_kernel(scope.channels(x)));
      case Gate::global_context:
        return nn::global_context(module, x, nn::make_divisible(channels / 8, 1, 0, 0), Activation::relu,
                                  nn::ContextFusion::add);
      case Gate::bilinear:
        return nn::bilinear_attention(module, x, 8);
      case Gate::none:
        break;
    }
    return x;
  }

  // Added to the block's result, if there is one.
  std::optional<NodeId> shortcut(const Scope& scope, NodeId x, const BlockArgs& args) const {
    if (args.stride == 1 && scope.channels(x) == args.out_channels) return x;
    const ConvArgs projection{.out_channels = args.out_channels, .stride = args.stride, .activate = false};
    switch (spec_.shortcut) {
      case Shortcut::conv:
        return block_conv(scope, "shortcut", x, projection);
      case Shortcut::avg: {
        const Scope module = scope["shortcut"];
        if (args.stride > 1)
          x = module.avg_pool("pool", x,
                              {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true, .count_include_pad = false});
        return conv(module, "conv", x, {.out_channels = args.out_channels, .activate = false});
      }
      case Shortcut::none:
        break;
    }
    return std::nullopt;
  }

  // The convolutions of a block of this type, one after another.
  NodeId body(BlockType type, const Scope& scope, NodeId x, const BlockArgs& args) const {
    const int64_t in = spec_.bottle_in ? scope.channels(x) : args.out_channels, out = args.out_channels;
    const int64_t mid = nn::make_divisible(static_cast<double>(in) * args.bottleneck);
    const int64_t groups = group_count(args.group_size, mid);
    if (type == BlockType::basic) {
      x = block_conv(scope, "conv1_kxk", x, {mid, 3, args.stride});
      x = conv(scope, "conv2_kxk", x, {out, 3, 1, groups, false});
      return attention(scope, "attn_last", x);
    }
    if (type == BlockType::dark) {
      x = conv(scope, "conv1_1x1", x, {mid});
      x = block_conv(scope, "conv2_kxk", x, {out, 3, args.stride, groups, false});
      return attention(scope, "attn_last", x);
    }
    if (type == BlockType::edge) {
      x = block_conv(scope, "conv1_kxk", x, {mid, 3, args.stride, groups});
      return conv(scope, "conv2_1x1", attention(scope, "attn", x), {.out_channels = out, .activate = false});
    }
    x = conv(scope, "conv1_1x1", x, {mid});
    if (args.self_attention) {
      x = spec_.self_attention(scope["self_attn"], x, *args.self_attention, args.stride, args.grid);
      x = nn::norm_act(scope, "post_attn", x, norm_act());
      return conv(scope, "conv3_1x1", x, {.out_channels = out, .activate = false});
    }
    x = block_conv(scope, "conv2_kxk", x, {mid, 3, args.stride, groups});
    if (spec_.extra_conv) x = conv(scope, "conv2b_kxk", x, {mid, 3, 1, groups});
    return conv(scope, "conv3_1x1", attention(scope, "attn", x), {.out_channels = out, .activate = false});
  }

  // The input with a norm of its own, where the shape stays, and convolutions of several sizes, added up: those of
  // RepVGG (where `count` is 0) are "conv_kxk" and "conv_1x1", those of MobileOne "conv_kxk.<i>" and "conv_scale".
  NodeId branches(const Scope& scope, NodeId x, const BlockArgs& args, int64_t count) const {
    std::vector<NodeId> values;
    if (args.stride == 1 && scope.channels(x) == args.out_channels)
      values.push_back(nn::norm_act(scope, "identity", x, norm_act(false)));
    ConvArgs options{.out_channels = args.out_channels,
                     .kernel = args.kernel,
                     .stride = args.stride,
                     .groups = group_count(args.group_size, scope.channels(x)),
                     .activate = false};
    if (count == 0) values.push_back(conv(scope, "conv_kxk", x, options));
    for (int64_t i = 0; i < count; ++i) values.push_back(conv(scope["conv_kxk"], std::to_string(i), x, options));
    options.kernel = 1;
    if (args.kernel > 1) values.push_back(conv(scope, count > 0 ? "conv_scale" : "conv_1x1", x, options));
    // Convolutions first: they are merged as they are added.
    NodeId sum = values.back();
    for (size_t i = values.size() - 1; i-- > 0;) sum = scope.add(sum, values[i]);
    return activate(scope, args.attention ? attention(scope, "attn", sum) : sum);
  }

  NodeId block(BlockType type, const Scope& scope, NodeId x, const BlockArgs& args) const {
    if (type == BlockType::rep_vgg) return branches(scope, x, args, 0);
    const std::optional<NodeId> residual = shortcut(scope, x, args);
    x = body(type, scope, x, args);
    if (residual) x = scope.add(x, *residual);
    return spec_.linear_out ? x : activate(scope, x);
  }

 private:
  const Spec& spec_;
};

class Builder {
 public:
  Builder(const Spec& spec, Network& network) : spec_(spec), layers_(spec), network_(network), root_(network.graph) {}

  void build(const BuildOptions& options) {
    if (spec_.img_size > 0) size_ = options.img_size.value_or(Size2d{spec_.img_size, spec_.img_size});
    network_.input = root_.input({.channels = options.in_chans, .size = size_});
    NodeId x = stem(root_["stem"], network_.input);
    for (size_t s = 0; s < spec_.stages.size() && spec_.stages[s].depth > 0; ++s) {
      if (spec_.stages[s].stride > 1) add_level(x);
      const Scope stage = root_["stages"][static_cast<int64_t>(s)];
      x = spec_.stages[s].type == BlockType::mobile_one ? mobile_one_stage(stage, x, s) : this->stage(stage, x, s);
      reduction_ *= spec_.stages[s].stride;
      module_ = stage.path();
    }
    if (spec_.num_features > 0) x = layers_.conv(root_, "final_conv", x, {scaled(spec_.num_features)});
    network_.add_level(x, reduction_, "final_conv");
    head(x, options);
  }

 private:
  int64_t scaled(int64_t channels) const { return std::llrint(spec_.width * static_cast<double>(channels)); }

  void add_level(NodeId x) { network_.add_level(x, reduction_, module_); }

  // Channels of the stem's convolutions.
  std::vector<int64_t> stem_channels() const {
    const int64_t c = scaled(spec_.stem_channels);
    switch (spec_.stem) {
      case Stem::deep:
        return {c, c, c};
      case Stem::tiered:
        return {3 * c / 8, c / 2, c};
      case Stem::clip:
        return {scaled(spec_.stem_channels / 2), scaled(spec_.stem_channels / 2), c};
      case Stem::quad:
      case Stem::quad2:
        return {c / 8, c / 4, c / 2, c};
      default:
        return {c};
    }
  }

  NodeId stem(const Scope& scope, NodeId x) {
    reduction_ = 2;
    module_ = "stem";
    const std::vector<int64_t> channels = stem_channels();
    if (channels.size() == 1 && spec_.stem != Stem::seven) {
      if (spec_.stem == Stem::plain) return layers_.conv(root_, "stem", x, {channels[0], 3, 2});
      const bool mobile_one = spec_.stem == Stem::mobile_one;
      const BlockArgs args{
          .out_channels = channels[0], .stride = 2, .group_size = 0, .bottleneck = 1, .attention = !mobile_one};
      return layers_.branches(scope, x, args, mobile_one ? 1 : 0);
    }
    for (size_t i = 0; i < channels.size(); ++i) {
      const std::string name = "conv" + std::to_string(i + 1);
      const bool strided_last = i + 1 == channels.size() && spec_.stem_pool == Pool::none;
      if (strided_last) add_level(x);
      const int64_t stride = i == 0 || strided_last ? 2 : 1;
      if (spec_.stem == Stem::quad2 && i < 2)
        x = scope.conv2d(name, x,
                         {.out_channels = channels[i], .kernel = 3, .stride = stride, .padding = nn::padding(1)});
      else
        x = layers_.conv(scope, name, x, {channels[i], spec_.stem == Stem::seven ? 7 : 3, stride});
      module_ = scope[name].path();
    }
    if (spec_.stem_pool != Pool::none) add_level(x);
    reduction_ = 4;
    if (spec_.stem_pool == Pool::max3)
      return scope.max_pool("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = nn::padding(1)});
    if (spec_.stem_pool == Pool::avg2) return scope.avg_pool("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
    return x;
  }

  NodeId stage(const Scope& scope, NodeId x, size_t index) const {
    const Stage& stage = spec_.stages[index];
    const int64_t channels = nn::make_divisible(stage.channels * spec_.width);
    for (int64_t i = 0; i < stage.depth; ++i) {
      const int64_t reduction = reduction_ * (i == 0 ? 1 : stage.stride);
      const bool grouped = spec_.rep_groups > 1 && i % 2 == 1;
      const BlockArgs args{.out_channels = channels,
                           .stride = i == 0 ? stage.stride : 1,
                           .group_size = grouped ? channels / spec_.rep_groups : stage.group_size,
                           .bottleneck = stage.bottleneck,
                           .attention = true,
                           .self_attention = stage.attention.is_in(i) ? &stage.attention : nullptr,
                           .grid = {size_[0] / reduction, size_[1] / reduction}};
      x = layers_.block(stage.type, scope[i], x, args);
    }
    return stage.transformer_depth > 0 ? spec_.last_block(scope[stage.depth], x, stage) : x;
  }

  // A depthwise block, then a pointwise one.
  NodeId mobile_one_stage(const Scope& scope, NodeId x, size_t index) const {
    const Stage& stage = spec_.stages[index];
    const int64_t attentive = index < 2 ? 0 : index == 2 ? spec_.se_blocks : 1;
    for (int64_t i = 0; i < stage.depth; ++i) {
      BlockArgs args{.out_channels = root_.channels(x),
                     .stride = i == 0 ? stage.stride : 1,
                     .group_size = 1,
                     .bottleneck = 1,
                     .attention = i >= stage.depth - attentive};
      x = layers_.branches(scope[2 * i], x, args, spec_.branches);
      args.out_channels = nn::make_divisible(stage.channels);
      args.stride = args.kernel = 1;
      args.group_size = 0;
      x = layers_.branches(scope[2 * i + 1], x, args, spec_.branches);
    }
    return x;
  }

  void head(NodeId x, const BuildOptions& options) {
    const Scope scope = root_["head"];
    switch (spec_.head) {
      case Head::classifier:
        return nn::classifier_head(network_, scope, x, options.global_pool.value_or("avg"), options.num_classes);
      case Head::mlp:
        return nn::norm_mlp_classifier_head(
            network_, scope, x, options.global_pool.value_or("avg"), options.num_classes,
            {.norm = std::nullopt, .hidden = spec_.head_hidden, .activation = spec_.activation});
      case Head::attention:
        return nn::attention_pool_head(network_, scope, x, {spec_.feature_size, spec_.feature_size},
                                       options.global_pool.value_or("token"), options.num_classes);
    }
  }

  const Spec& spec_;
  Layers layers_;
  Network& network_;
  Scope root_;
  Size2d size_{};  // of the only images that it takes; zeros: any
  int64_t reduction_ = 1;
  std::string module_;  // whose value is the last
};

}  // namespace

Network build(const Spec& spec, const BuildOptions& options) {
  Network network;
  Builder(spec, network).build(options);
  return network;
}

}  // namespace wimm::byob
