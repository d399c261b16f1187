// Layouts of other projects, as the `checkpoint_filter_fn`s of timm's mlp_mixer, metaformer, focalnet, pit, pvt_v2,
// swin_transformer and xcit rename them.
#include "weights/layouts.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace wimm {
namespace {

// Each `from` becomes `to`. A '#' in `from` is a number; in `to`, '#' is the next of them, '<' one less, '>' one more.
// '^' is where the name begins.
struct Rule {
  std::string_view from, to;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Match {
  size_t end;
  std::vector<int64_t> numbers;
};

std::optional<Match> match_at(std::string_view name, size_t at, std::string_view pattern) {
  Match match{at, {}};
  if (pattern.starts_with('^')) {
    if (at != 0) return std::nullopt;
    pattern.remove_prefix(1);
  }
  for (const char c : pattern) {
    if (c != '#') {
      if (match.end == name.size() || name[match.end++] != c) return std::nullopt;
      continue;
    }
    int64_t number = 0;
    const size_t first = match.end;
    for (; match.end < name.size() && match.end < first + 9 && is_digit(name[match.end]); ++match.end)
      number = 10 * number + (name[match.end] - '0');
    if (match.end == first) return std::nullopt;
    match.numbers.push_back(number);
  }
  return match;
}

std::string renamed(const Rule& rule, const std::string& name) {
  std::string result;
  for (size_t at = 0; at < name.size();) {
    const bool inside_number = at > 0 && is_digit(name[at - 1]) && rule.from.starts_with('#');
    const std::optional<Match> match = inside_number ? std::nullopt : match_at(name, at, rule.from);
    if (!match) {
      result += name[at++];
      continue;
    }
    size_t next = 0;
    for (const char c : rule.to) {
      if (c != '#' && c != '<' && c != '>')
        result += c;
      else if (next < match->numbers.size())
        result += std::to_string(match->numbers[next++] + (c == '>') - (c == '<'));
    }
    at = match->end;
  }
  return result;
}

constexpr Rule res_mlp[] = {
    {"patch_embed.", "stem."}, {"attn.", "linear_tokens."}, {"mlp.", "mlp_channels."}, {"gamma_", "ls"}};
// PoolFormer's first version has the stages and what is between them in one sequence.
constexpr Rule pool_former[] = {{"layer_scale_#", "layer_scale#.scale"},
                                {"network.1", "stages.1.downsample"},
                                {"network.3", "stages.2.downsample"},
                                {"network.5", "stages.3.downsample"},
                                {"network.2", "network.1"},
                                {"network.4", "network.2"},
                                {"network.6", "network.3"},
                                {"network", "stages"}};
constexpr Rule meta_former[] = {{"downsample_layers.#", "stages.#.downsample"},
                                {"downsample.proj", "downsample.conv"},
                                {"patch_embed.proj", "patch_embed.conv"},
                                {"#.#", "#.blocks.#"},
                                {"stages.0.downsample", "stem"},
                                {"patch_embed", "stem"},
                                {"post_norm", "norm"},
                                {"pre_norm", "norm"},
                                {"^head", "head.fc"},
                                {"^norm", "head.norm"}};
constexpr Rule focal_net[] = {{"gamma_#", "ls#.gamma"},
                              {"patch_embed", "stem"},
                              {"layers.#.downsample", "layers.>.downsample"},
                              {"ln.", "norm."},
                              {"head", "head.fc"}};
constexpr Rule focal_net_post_norms[] = {{"norm#", "norm#_post"}};
constexpr Rule pit[] = {{"pools.#.", "transformers.>.pool."}};
constexpr Rule pvt[] = {{"^patch_embed1", "patch_embed"},
                        {"^patch_embed#", "stages.<.downsample"},
                        {"dwconv.dwconv", "dwconv"},
                        {"block#.#", "stages.<.blocks.#"},
                        {"^norm#", "stages.<.norm"}};
constexpr Rule swin[] = {{"layers.#.downsample", "layers.>.downsample"}, {"^head.", "head.fc."}};
constexpr Rule xcit[] = {{"pos_embeder.", "pos_embed."}};

// Rules for models that have one parameter, and checkpoints that have one tensor; in this order.
struct Layout {
  std::string_view parameter, tensor;
  std::span<const Rule> rules;
};

constexpr Layout layouts[] = {
    {"blocks.0.linear_tokens.weight", "patch_embed.proj.weight", res_mlp},
    {"stages.0.blocks.0.layer_scale1.scale", "network.0.0.mlp.fc1.weight", pool_former},
    {"stages.0.blocks.0.layer_scale1.scale", "patch_embed.proj.weight", meta_former},
    {"stages.2.blocks.0.res_scale1.scale", "downsample_layers.0.conv.weight", meta_former},
    {"layers.0.blocks.0.norm1_post.weight", "patch_embed.proj.weight", focal_net_post_norms},
    {"layers.0.blocks.0.modulation.f.weight", "patch_embed.proj.weight", focal_net},
    {"transformers.0.blocks.0.norm1.weight", "pools.0.conv.weight", pit},
    {"stages.0.blocks.0.mlp.dwconv.weight", "patch_embed1.proj.weight", pvt},
    {"layers.1.downsample.reduction.weight", "layers.0.downsample.reduction.weight", swin},
    {"cls_attn_blocks.0.attn.q.weight", "pos_embeder.token_projection.weight", xcit},
};

}  // namespace

void rename_layout(std::span<const std::string> parameters, std::vector<std::string>& names) {
  for (const auto& [parameter, tensor, rules] : layouts) {
    const bool suits =
        std::ranges::find(parameters, parameter) != parameters.end() && std::ranges::find(names, tensor) != names.end();
    if (!suits) continue;
    for (const Rule& rule : rules)
      for (std::string& name : names) name = renamed(rule, name);
  }
}

}  // namespace wimm
