// Decoding of block strings, and the trunk.
#include "models/efficientnet_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "wimm/error.h"

namespace wimm::efficientnet {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

template <class Number>
Number parse(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);  // std::from_chars lacks double in Emscripten's library
  if (copy.empty() || *end != '\0')
    throw Error(ErrorCode::invalid_argument, "a block string needs a number, got " + quote(text));
  return static_cast<Number>(value);
}

// The options of a block string by their letters.
class Options {
 public:
  explicit Options(std::span<const std::string_view> words) {
    for (const std::string_view word : words) {
      const size_t digits = word.starts_with('n') ? 1 : word.find_first_of("0123456789");
      if (word == "skip" || word == "noskip") {
        values_[word] = {};
      } else {
        values_[word.substr(0, digits)] = word.substr(std::min(digits, word.size()));
      }
    }
  }

  bool has(std::string_view key) const { return values_.contains(key); }
  std::string_view text(std::string_view key) const { return values_.at(key); }
  template <class Number>
  Number number(std::string_view key, Number otherwise) const {
    return has(key) ? parse<Number>(text(key)) : otherwise;
  }
  KernelSizes kernels(std::string_view key, int64_t otherwise) const {
    if (!has(key)) return {otherwise};
    KernelSizes kernels;
    for (const std::string_view side : split(text(key), '.')) kernels.push_back(parse<int64_t>(side));
    return kernels;
  }

 private:
  std::map<std::string_view, std::string_view> values_;
};

BlockType block_type(std::string_view name) {
  if (name == "ds" || name == "dsa") return BlockType::depthwise_separable;
  if (name == "ir") return BlockType::inverted_residual;
  if (name == "er") return BlockType::edge_residual;
  if (name == "cn") return BlockType::conv_norm_act;
  if (name == "uir") return BlockType::universal_inverted_residual;
  if (name == "mqa") return BlockType::mobile_attention;
  throw Error(ErrorCode::invalid_argument, "unknown type of block " + quote(name));
}

Activation activation(std::string_view name) {
  if (name == "re") return Activation::relu;
  if (name == "r6") return Activation::relu6;
  if (name == "hs") return Activation::hard_swish;
  if (name == "sw") return Activation::silu;
  if (name == "mi") return Activation::mish;
  throw Error(ErrorCode::invalid_argument, "unknown activation " + quote(name) + " in a block string");
}

// A block and how often it is repeated.
std::pair<BlockArgs, int64_t> decode_block(std::string_view text, const Scaling& scaling,
                                           const ChannelRounding& width) {
  const std::vector<std::string_view> words = split(text, '_');
  const Options options({words.begin() + 1, words.end()});
  const BlockType type = block_type(words[0]);
  const bool dense = type == BlockType::edge_residual || type == BlockType::conv_norm_act;
  const int64_t other_kernel = type == BlockType::universal_inverted_residual ? 0 : 1;

  BlockArgs args{.type = type};
  args.out_channels = width(options.number("c", 0.0));
  args.stride = options.number<int64_t>("s", 1);
  args.kernels = options.kernels("k", 1);
  args.start_kernels = options.kernels("a", other_kernel);
  args.end_kernels = options.kernels("p", other_kernel);
  args.expansion = type == BlockType::depthwise_separable ? 1 : options.number("e", 1.0);
  args.squeeze_ratio = options.number("se", 0.0);
  args.group_size = options.number("gs", scaling.group_size > 0 ? scaling.group_size : dense ? int64_t{0} : 1);
  if (options.has("n")) args.activation = activation(options.text("n"));
  args.residual = type == BlockType::conv_norm_act ? options.has("skip") : words[0] != "dsa" && !options.has("noskip");
  args.activate_last = words[0] == "dsa";
  args.space_to_depth = type != BlockType::mobile_attention && options.has("d");
  if (options.has("fc")) args.expansion_channels = width(options.number("fc", 0.0));
  args.experts = scaling.experts * options.number<int64_t>("cc", 0);
  args.heads = options.number<int64_t>("h", 0);
  args.key_dim = options.number<int64_t>("d", 0);
  args.kv_stride = options.number<int64_t>("v", 1);
  return {args, options.number<int64_t>("r", 1)};
}

// The blocks of a stage are scaled together, and shared out from its last definition to its first.
Stage scale_depth(std::span<const std::pair<BlockArgs, int64_t>> definitions, double multiplier, bool round) {
  int64_t total = 0;
  for (const auto& [args, repeats] : definitions) total += repeats;
  const double scaled = static_cast<double>(total) * multiplier;
  auto scaled_total = static_cast<int64_t>(round ? std::max(1.0, std::nearbyint(scaled)) : std::ceil(scaled));

  Stage reversed;
  for (size_t i = definitions.size(); i-- > 0;) {
    const auto& [args, repeats] = definitions[i];
    const double fraction = static_cast<double>(repeats) / static_cast<double>(total);
    const auto count = std::max<int64_t>(1, std::llrint(fraction * static_cast<double>(scaled_total)));
    reversed.insert(reversed.end(), static_cast<size_t>(count), args);
    total -= repeats;
    scaled_total -= count;
  }
  return {reversed.rbegin(), reversed.rend()};
}

// Sets the channels that pruning left. One string a stage, from the second: output channels, then for each block the
// expanded and, after a slash, the squeezed channels.
void prune(std::span<Stage> stages, std::span<const std::string_view> channels) {
  for (size_t s = 0; s < channels.size(); ++s) {
    const std::vector<std::string_view> words = split(channels[s], ' ');
    Stage& stage = stages[s + 1];
    for (size_t b = 0; b < stage.size(); ++b) {
      const std::vector<std::string_view> pair = split(words.at(b + 1), '/');
      stage[b].out_channels = parse<int64_t>(words[0]);
      stage[b].mid_channels = parse<int64_t>(pair.at(0));
      stage[b].squeezed_channels = parse<int64_t>(pair.at(1));
    }
  }
}

ChannelRounding channel_rounding(const Architecture& architecture, const Scaling& scaling) {
  return {scaling.width, scaling.channel_divisor, architecture.round_limit};
}

// Resolves the strides of a space-to-depth region: it begins with a block that halves the map and quadruples its
// channels, and ends with the next strided block, which then need not halve the map.
class SpaceToDepth {
 public:
  bool begun() const { return active_; }

  void apply(BlockArgs& args) {
    const bool asked = std::exchange(args.space_to_depth, false);
    if (!active_ && asked) {
      active_ = args.space_to_depth = true;
      args.out_channels *= 4;
      args.squeeze_ratio /= 4;
    } else if (active_ && args.stride > 1) {
      active_ = false;
      args.stride = 1;
      args.expansion /= 4;
    } else if (active_) {
      args.out_channels *= 4;
    }
  }

 private:
  bool active_ = false;
};

}  // namespace

std::vector<Stage> decode_stages(const Architecture& architecture, const Scaling& scaling) {
  const ChannelRounding width = channel_rounding(architecture, scaling);
  const auto last = std::ranges::find(architecture.stages, std::string_view{});
  std::vector<Stage> stages;
  for (auto text = architecture.stages.begin(); text != last; ++text) {
    std::vector<std::pair<BlockArgs, int64_t>> definitions;
    for (const std::string_view block : split(*text, ' ')) definitions.push_back(decode_block(block, scaling, width));
    const bool is_end = text == architecture.stages.begin() || text + 1 == last;
    const bool fixed = is_end && (architecture.fixed_ends || scaling.fixed_ends);
    const double depth = scaling.late_depth > 0 && last - text <= 2 ? scaling.late_depth : scaling.depth;
    stages.push_back(scale_depth(definitions, fixed ? 1 : depth, architecture.round_depth));
    const int64_t channels = architecture.channels[stages.size() - 1];
    if (channels > 0) {
      for (BlockArgs& args : stages.back()) args.out_channels = channels;
    }
  }
  prune(stages, scaling.pruned);
  return stages;
}

Spec scale(const Variant& variant, bool pretrained) {
  const auto& [name, architecture, scaling] = variant;
  const ChannelRounding width = channel_rounding(architecture, scaling);
  const bool fixed_ends = architecture.fixed_ends || scaling.fixed_ends;
  const auto unscaled = [](double channels) { return static_cast<int64_t>(channels); };

  Style style{.activation = architecture.activation,
              .norm = scaling.norm,
              .anti_alias = scaling.anti_alias,
              .squeeze_excite = architecture.squeeze_excite,
              .tf_padding = scaling.tf,
              .layer_scale = architecture.layer_scale};
  style.squeeze_excite.global_context = scaling.global_context;
  if (scaling.tf) style.norm.eps = tf_norm_eps;
  if (pretrained && scaling.pretrained_eps > 0) style.norm.eps = scaling.pretrained_eps;

  const bool fixed_stem = fixed_ends || scaling.width < architecture.fix_stem_below;
  int64_t head = unscaled(architecture.head_channels);
  if (architecture.head_width != Architecture::HeadWidth::fixed && !fixed_ends) {
    const int64_t scaled = width(architecture.head_channels);
    head = architecture.head_width == Architecture::HeadWidth::grown ? std::max(head, scaled) : scaled;
  }
  return {.stages = decode_stages(architecture, scaling),
          .style = style,
          .stem_channels = fixed_stem ? unscaled(architecture.stem_channels) : width(architecture.stem_channels),
          .stem_kernel = architecture.stem_kernel,
          .head_channels = scaling.head_conv ? head : 0,
          .squeeze_from_expanded = architecture.squeeze_from_expanded,
          .head_bias = architecture.head_bias,
          .head_norm = architecture.head_norm};
}

NodeId build_trunk(const Spec& spec, int64_t in_chans, Network& network) {
  const Layers layers(nn::Scope(network.graph), spec.style);
  network.input = layers.scope().input(in_chans);
  const NodeId stem = layers.conv("conv_stem", network.input, {spec.stem_channels, {spec.stem_kernel}, 2});
  NodeId x = layers.norm("bn1", stem);
  int64_t reduction = 2;
  const BlockArgs& first = spec.stages[0][0];
  if (first.stride > 1 || first.space_to_depth) network.add_level(x, reduction, "bn1");

  SpaceToDepth space_to_depth;
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    const Layers stage = layers["blocks"][std::to_string(s)];
    for (size_t b = 0; b < spec.stages[s].size(); ++b) {
      BlockArgs args = spec.stages[s][b];
      if (b > 0) args.stride = 1;
      space_to_depth.apply(args);
      if (!spec.squeeze_from_expanded) args.squeeze_ratio /= args.expansion;
      x = build_block(stage.scope()[static_cast<int64_t>(b)], spec.style, args, x);
      reduction *= args.stride * (args.space_to_depth ? 2 : 1);
    }
    const bool ends_level =
        s + 1 == spec.stages.size() || (spec.stages[s + 1][0].stride > 1 && !space_to_depth.begun());
    if (ends_level) network.add_level(x, reduction, stage.scope().path());
  }
  return x;
}

}  // namespace wimm::efficientnet
