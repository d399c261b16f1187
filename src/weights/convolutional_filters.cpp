// As timm's checkpoint_filter_fn of convnext.py, mambaout.py, byobnet.py, fastvit.py, ghostnet.py and cspnext.py.
#include "weights/convolutional_filters.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "weights/renames.h"

namespace wimm {
namespace {

// "stages.2.7.x" → "stages.2.blocks.7.x", "downsample_layers.2.x" → "stages.2.downsample.x": ConvNeXt's authors, whom
// MambaOut follows.
void rename_stages(std::string& name) {
  std::string_view rest = name;
  if (rest.starts_with("downsample_layers.0.")) {
    name.replace(0, 19, "stem");
  } else if (rest.starts_with("downsample_layers.")) {
    rest.remove_prefix(18);
    if (const std::optional<unsigned> stage = take_index(rest))
      name = "stages." + std::to_string(*stage) + ".downsample." + std::string(rest);
  } else if (rest.starts_with("stages.")) {
    rest.remove_prefix(7);
    const std::optional<unsigned> stage = take_index(rest);
    if (stage) name = "stages." + std::to_string(*stage) + ".blocks." + std::string(rest);
  }
}

constexpr Rename convnext[] = {
    {"dwconv", "conv_dw"}, {"pwconv", "mlp.fc"}, {"grn.beta", "mlp.grn.bias"}, {"grn.gamma", "mlp.grn.weight"}};
constexpr Rename open_clip[] = {{"visual.head.proj.", "visual.trunk.head.fc."},
                                {"visual.head.mlp.fc1.", "visual.trunk.head.pre_logits.fc."},
                                {"visual.head.mlp.fc2.", "visual.trunk.head.fc."}};

bool rename_convnext(std::vector<std::string>& names) {
  if (contains(names, "visual.trunk.stem.0.weight")) {
    replace_all(names, open_clip);
    keep_module(names, "visual.trunk.");
    return true;
  }
  if (!contains(names, "downsample_layers.0.0.weight")) return false;
  for (std::string& name : names) {
    rename_stages(name);
    if (name.starts_with("projectors.") || name.starts_with("norms.")) name.clear();
    if (name.starts_with("norm."))
      name.insert(0, "head.");
    else if (name.starts_with("head."))
      name.insert(5, "fc.");
  }
  replace_all(names, convnext);
  return false;
}

constexpr Rename mambaout_head[] = {
    {"head.fc1.", "head.pre_logits.fc."}, {"head.norm.", "head.pre_logits.norm."}, {"head.fc2.", "head.fc."}};

void rename_mambaout(std::vector<std::string>& names) {
  if (!contains(names, "downsample_layers.0.conv1.weight")) return;
  for (std::string& name : names) {
    rename_stages(name);
    const auto head = std::ranges::find_if(mambaout_head, [&](const Rename& r) { return name.starts_with(r.from); });
    if (name.starts_with("norm."))
      name.insert(0, "head.");
    else if (head != std::end(mambaout_head))
      name.replace(0, head->from.size(), head->to);
  }
}

// "layer2.0.bn3.weight" → "stages.1.0.conv3_1x1.bn.weight", "layer2.0.downsample.1.bias" →
// "stages.1.0.shortcut.conv.bn.bias".
std::string clip_block_name(std::string_view rest) {
  const std::optional<unsigned> stage = take_index(rest), block = stage ? take_index(rest) : std::nullopt;
  if (!block) return "";
  std::string name = "stages." + std::to_string(*stage - 1) + "." + std::to_string(*block) + ".";
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos || dot == 0) return "";
  if (rest.starts_with("downsample.")) {
    rest.remove_prefix(11);
    const std::optional<unsigned> layer = take_index(rest);
    return layer ? name + "shortcut.conv." + (*layer == 0 ? "conv." : "bn.") + std::string(rest) : "";
  }
  constexpr std::string_view convs[] = {"conv1_1x1.", "conv2_kxk.", "conv3_1x1."};
  const size_t index = static_cast<size_t>(rest[dot - 1] - '1');
  if (index >= std::size(convs)) return "";
  return name.append(convs[index]).append(rest.substr(0, dot - 1)).append(rest.substr(dot));
}

constexpr Rename clip_pool[] = {
    {"positional_embedding", "pos_embed"}, {"q_proj", "q"}, {"k_proj", "k"}, {"v_proj", "v"}, {"c_proj", "proj"}};

// OpenAI's CLIP.
void rename_clip_resnet(std::span<const std::string> parameters, std::vector<std::string>& names) {
  if (!contains(names, "visual.conv1.weight")) return;
  keep_module(names, "visual.");
  for (std::string& name : names) {
    std::string_view rest = name;
    if (rest.starts_with("layer")) {
      name = clip_block_name(rest.substr(5));
    } else if (rest.starts_with("attnpool.")) {
      if (!contains(parameters, "head.pos_embed")) name.clear();
      replace_all(name, "attnpool.", "head.");
      for (const auto& [from, to] : clip_pool) replace_all(name, from, to);
    } else {
      const bool norm = rest.starts_with("bn");  // "bn2.weight" → "stem.conv2.bn.weight"
      const size_t digit = norm ? 2 : 4;
      if (rest.size() > digit && (norm || rest.starts_with("conv")))
        name =
            "stem.conv" + std::string(1, rest[digit]) + (norm ? ".bn" : ".conv") + std::string(rest.substr(digit + 1));
    }
  }
}

constexpr Rename fastvit[] = {{"patch_embed", "stem"},  {"rbr_conv", "conv_kxk"},   {"rbr_scale", "conv_scale"},
                              {"rbr_skip", "identity"}, {"conv_exp", "final_conv"}, {"lkb_origin", "large_conv"},
                              {"convffn", "mlp"},       {"se.reduce", "se.fc1"},    {"se.expand", "se.fc2"}};

// "network.3.2.x", of the authors' list of stages, downsamplings and positions.
void rename_network(std::string& name, const std::set<unsigned>& downsamplings) {
  std::string_view rest = name;
  rest.remove_prefix(8);
  const std::optional<unsigned> index = take_index(rest);
  if (!index) return;
  const auto stage = std::distance(downsamplings.begin(), downsamplings.upper_bound(*index));
  std::string prefix = "stages." + std::to_string(stage) + ".";
  if (rest.starts_with("proj"))
    prefix += "downsample.";
  else if (!rest.starts_with("pe."))
    prefix += "blocks.";
  if (rest.starts_with("pe.")) rest.remove_prefix(3), prefix += "pos_emb.pos_enc.";
  name = prefix.append(rest);
}

bool rename_fastvit(std::vector<std::string>& names) {
  if (contains(names, "module.visual.trunk.stem.0.conv_kxk.0.conv.weight")) keep_module(names, "module.visual.trunk.");
  constexpr std::string_view clip = "image_encoder.model.";
  if (contains(names, std::string(clip) + "patch_embed.0.rbr_conv.0.conv.weight")) keep_module(names, clip);
  if (!contains(names, "patch_embed.0.rbr_conv.0.conv.weight")) return false;
  std::set<unsigned> downsamplings;
  for (const std::string_view name : names) {
    if (!name.starts_with("network.")) continue;
    std::string_view rest = name.substr(8);
    const std::optional<unsigned> index = take_index(rest);
    if (index && rest.starts_with("proj")) downsamplings.insert(*index);
  }
  const bool projects = contains(names, "head.proj");
  replace_all(names, fastvit);
  for (std::string& name : names) {
    const size_t scale = name.rfind("layer_scale");
    if (scale != std::string::npos && name.find('.', scale) == std::string::npos) name += ".gamma";
    if (name == "head.proj")
      name = "head.fc.weight";
    else if (name.starts_with("head."))
      name.insert(5, "fc.");
    if (name.starts_with("network.")) rename_network(name, downsamplings);
  }
  return projects;
}

void rename_ghostnet(std::vector<std::string>& names) {
  for (std::string& name : names) {
    if (name.find(".ghost") == std::string::npos && name.find(".dw_rpr_") == std::string::npos) continue;
    if (name.find("total") != std::string::npos) name.clear();  // counts of operations
    replace_all(name, "bn.", "bn1.");
  }
}

// "backbone.stage2.0.conv.weight" → "stages.1.0.conv.weight".
void rename_cspnext(std::vector<std::string>& names) {
  if (!contains(names, "backbone.stem.0.conv.weight")) return;
  keep_module(names, "backbone.");
  for (std::string& name : names) {
    if (!name.starts_with("stage")) continue;
    std::string_view rest = std::string_view(name).substr(5);
    if (const std::optional<unsigned> stage = take_index(rest))
      name = "stages." + std::to_string(*stage - 1) + "." + std::string(rest);
  }
}

}  // namespace

bool rename_convolutional(std::span<const std::string> parameters, std::vector<std::string>& names) {
  bool projects = false;
  if (contains(parameters, "stages.0.blocks.0.conv_dw.weight")) projects = rename_convnext(names);
  if (contains(parameters, "stem.0.conv_kxk.0.conv.weight")) projects = rename_fastvit(names);
  if (contains(parameters, "stem.conv1.conv.weight")) rename_clip_resnet(parameters, names);
  if (contains(parameters, "stem.conv1.weight")) rename_mambaout(names);
  if (contains(parameters, "blocks.0.0.ghost1.primary_rpr_conv.0.conv.weight")) rename_ghostnet(names);
  if (contains(parameters, "stages.0.1.short_conv.conv.weight")) rename_cspnext(names);
  return projects;
}

}  // namespace wimm
