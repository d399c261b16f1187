// Checkpoints of other projects whose tensors differ from timm's only by name.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "wimm/weights.h"

namespace wimm {

namespace {

struct Rename {
  std::string_view from, to;
};

// EfficientNet-PyTorch (lukemelas) and its port of the lite models.
constexpr Rename kTop[] = {{"_conv_stem.", "conv_stem."},
                           {"_bn0.", "bn1."},
                           {"_conv_head.", "conv_head."},
                           {"_bn1.", "bn2."},
                           {"_fc.", "classifier."}};
// A block that expands its channels first, timm's InvertedResidual.
constexpr Rename kInvertedResidual[] = {{"_expand_conv.", "conv_pw."},      {"_bn0.", "bn1."},
                                        {"_depthwise_conv.", "conv_dw."},   {"_bn1.", "bn2."},
                                        {"_se_reduce.", "se.conv_reduce."}, {"_se_expand.", "se.conv_expand."},
                                        {"_project_conv.", "conv_pwl."},    {"_bn2.", "bn3."}};
// One that does not, timm's DepthwiseSeparableConv.
constexpr Rename kDepthwiseSeparable[] = {{"_depthwise_conv.", "conv_dw."},   {"_bn1.", "bn1."},
                                          {"_se_reduce.", "se.conv_reduce."}, {"_se_expand.", "se.conv_expand."},
                                          {"_project_conv.", "conv_pw."},     {"_bn2.", "bn2."}};

// torchvision's VGG, whose last layers are linear there.
constexpr Rename kVgg[] = {
    {"classifier.0.", "pre_logits.fc1."}, {"classifier.3.", "pre_logits.fc2."}, {"classifier.6.", "head.fc."}};

// torchvision's RegNet, and what follows "trunk_output.block1.block1-0." in a block of it.
constexpr Rename kRegNet[] = {{"stem.0.", "stem.conv."}, {"stem.1.", "stem.bn."}, {"fc.", "head.fc."}};
constexpr Rename kRegNetBlock[] = {
    {"f.a.0.", "conv1.conv."},       {"f.a.1.", "conv1.bn."},       {"f.b.0.", "conv2.conv."},
    {"f.b.1.", "conv2.bn."},         {"f.c.0.", "conv3.conv."},     {"f.c.1.", "conv3.bn."},
    {"proj.0.", "downsample.conv."}, {"proj.1.", "downsample.bn."}, {"f.se.", "se."}};

constexpr std::string_view kRegNetTrunk = "trunk_output.block";
// The authors' TResNet has sequences where timm has modules, with blur pooling one deeper.
constexpr Rename kTResNet[] = {{".0.0.", ".conv."}, {".0.1.", ".bn."}, {".0.", ".conv."}, {".1.", ".bn."}};
constexpr std::string_view kTResNetStem = "body.conv1.conv.weight";

constexpr std::string_view kFlatBlocks = "_blocks.", kStagedBlocks = "blocks.";

std::optional<std::string> rename(std::string_view name, std::span<const Rename> renames) {
  for (const auto& [from, to] : renames) {
    if (name.starts_with(from)) return std::string(to).append(name.substr(from.size()));
  }
  return std::nullopt;
}

// Takes "12." off the front of a name.
std::optional<unsigned> take_index(std::string_view& name) {
  unsigned index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const auto digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || digits == name.size() || name[digits] != '.') return std::nullopt;
  name.remove_prefix(digits + 1);
  return index;
}

// "blocks.<stage>.<block>." of each block of the model, in order. EfficientNet-PyTorch numbers them through.
std::vector<std::string> block_prefixes(std::span<const std::string> parameters) {
  std::set<std::pair<unsigned, unsigned>> blocks;
  for (std::string_view name : parameters) {
    if (!name.starts_with(kStagedBlocks)) continue;
    name.remove_prefix(kStagedBlocks.size());
    const std::optional<unsigned> stage = take_index(name), block = stage ? take_index(name) : std::nullopt;
    if (block) blocks.emplace(*stage, *block);
  }
  std::vector<std::string> prefixes;
  for (const auto& [stage, block] : blocks) {
    prefixes.push_back("blocks." + std::to_string(stage) + "." + std::to_string(block) + ".");
  }
  return prefixes;
}

// The indices of the blocks that expand their channels.
std::set<unsigned> expanding_blocks(const std::vector<TensorInfo>& tensors) {
  std::set<unsigned> expanding;
  for (const TensorInfo& tensor : tensors) {
    std::string_view name = tensor.name;
    if (!name.starts_with(kFlatBlocks)) continue;
    name.remove_prefix(kFlatBlocks.size());
    const std::optional<unsigned> index = take_index(name);
    if (index && name.starts_with("_expand_conv.")) expanding.insert(*index);
  }
  return expanding;
}

void rename_efficientnet(const std::vector<TensorInfo>& tensors, std::span<const std::string> parameters,
                         std::vector<std::string>& names) {
  const std::vector<std::string> prefixes = block_prefixes(parameters);
  if (prefixes.empty() || std::ranges::find(names, "_conv_stem.weight") == names.end()) return;
  const std::set<unsigned> expanding = expanding_blocks(tensors);
  for (std::string& name : names) {
    std::string_view rest = name;
    std::optional<std::string> renamed = rename(rest, kTop);
    if (rest.starts_with(kFlatBlocks)) {
      rest.remove_prefix(kFlatBlocks.size());
      const std::optional<unsigned> index = take_index(rest);
      if (!index || *index >= prefixes.size()) continue;
      renamed = expanding.contains(*index) ? rename(rest, kInvertedResidual) : rename(rest, kDepthwiseSeparable);
      if (renamed) renamed->insert(0, prefixes[*index]);
    }
    if (renamed) name = std::move(*renamed);
  }
}

void rename_vgg(std::span<const std::string> parameters, std::vector<std::string>& names) {
  if (std::ranges::find(parameters, "pre_logits.fc1.weight") == parameters.end()) return;
  for (std::string& name : names) name = rename(name, kVgg).value_or(name);
}

// torchvision's DenseNet has "denselayer1.norm.1.weight" where timm has "denselayer1.norm1.weight".
void rename_densenet(std::vector<std::string>& names) {
  for (std::string& name : names) {
    const size_t layer = name.find(".denselayer");
    if (layer == std::string::npos) continue;
    for (const std::string_view part : {".norm.", ".conv."}) {
      const size_t found = name.find(part, layer);
      if (found != std::string::npos) name.erase(found + part.size() - 1, 1);
    }
  }
}

void rename_regnet(std::vector<std::string>& names) {
  const auto in_trunk = [](std::string_view name) { return name.starts_with(kRegNetTrunk); };
  if (std::ranges::none_of(names, in_trunk)) return;
  for (std::string& name : names) {
    std::string_view rest = name;
    std::optional<std::string> renamed = rename(rest, kRegNet);
    if (in_trunk(rest)) {
      rest.remove_prefix(kRegNetTrunk.size());
      const std::optional<unsigned> stage = take_index(rest);
      rest.remove_prefix(std::min(rest.find('-') + 1, rest.size()));
      const std::optional<unsigned> block = stage ? take_index(rest) : std::nullopt;
      renamed = block ? rename(rest, kRegNetBlock) : std::nullopt;
      if (renamed) renamed->insert(0, "s" + std::to_string(*stage) + ".b" + std::to_string(*block + 1) + ".");
    }
    if (renamed) name = std::move(*renamed);
  }
}

// "body.layer2.0.conv1.0.0.weight" and "body.layer2.0.downsample.1.1.weight" have what kTResNet names behind a number.
void rename_tresnet(std::span<const std::string> parameters, std::vector<std::string>& names) {
  if (std::ranges::find(parameters, kTResNetStem) == parameters.end()) return;
  if (std::ranges::find(names, kTResNetStem) != names.end()) return;
  for (std::string& name : names) {
    for (const std::string_view module : {".conv", ".downsample."}) {
      const size_t found = name.find(module);
      if (found == std::string::npos) continue;
      const size_t end = std::min(name.find_first_not_of("0123456789", found + module.size()), name.size());
      const std::optional<std::string> renamed = rename(std::string_view(name).substr(end), kTResNet);
      if (renamed) name.replace(end, std::string::npos, *renamed);
    }
  }
}

// Each occurrence of `from`.
void replace_all(std::string& name, std::string_view from, std::string_view to) {
  for (size_t at = name.find(from); at != std::string::npos; at = name.find(from, at + to.size()))
    name.replace(at, from.size(), to);
}

void replace_all(std::vector<std::string>& names, std::span<const Rename> renames) {
  for (std::string& name : names)
    for (const auto& [from, to] : renames) replace_all(name, from, to);
}

// Keeps what begins with `prefix`, without it; the rest of the checkpoint is another model.
void keep_module(std::vector<std::string>& names, std::string_view prefix) {
  for (std::string& name : names) name = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
}

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// As timm's _convert_openai_clip, DINOv2, AIMv2 and DeiT III.
constexpr Rename kClip[] = {{"conv1", "patch_embed.proj"},
                            {"positional_embedding", "pos_embed"},
                            {"class_embedding", "cls_token"},
                            {"transformer.resblocks.", "blocks."},
                            {"ln_pre", "norm_pre"},
                            {"ln_post", "norm"},
                            {"ln_", "norm"},
                            {"in_proj_", "qkv."},
                            {"out_proj", "proj"},
                            {"mlp.c_fc", "mlp.fc1"},
                            {"mlp.c_proj", "mlp.fc2"}};
constexpr Rename kDinoV2[] = {{".mlp.w12.", ".mlp.fc1."}, {".mlp.w3.", ".mlp.fc2."}};
constexpr Rename kAimV2[] = {{"norm_1", "norm1"},
                             {"norm_2", "norm2"},
                             {"preprocessor.patchifier.", "patch_embed."},
                             {"preprocessor.pos_embed", "pos_embed"},
                             {"trunk.", ""},
                             {"post_trunk_norm.", "norm."},
                             {"mlp.fc1", "mlp.fc1_g"},
                             {"mlp.fc3", "mlp.fc1_x"}};
constexpr Rename kDeit3[] = {{".gamma_1", ".ls1.gamma"}, {".gamma_2", ".ls2.gamma"}};

void rename_vision_transformer(std::span<const std::string> parameters, std::vector<std::string>& names) {
  if (!contains(parameters, "patch_embed.proj.weight") || !contains(parameters, "blocks.0.norm1.weight")) return;
  if (contains(names, "visual.class_embedding")) {
    keep_module(names, "visual.");
    replace_all(names, kClip);
  } else if (contains(names, "visual.trunk.blocks.0.norm1.weight")) {
    keep_module(names, "visual.trunk.");
  } else if (contains(names, "preprocessor.patchifier.proj.weight")) {
    replace_all(names, kAimV2);
  } else if (contains(names, "vision_encoder.mask_token")) {
    keep_module(names, "vision_encoder.");
  }
  if (contains(names, "mask_token")) replace_all(names, kDinoV2);
  replace_all(names, kDeit3);
  // For training alone, for a text encoder, or for a layer that the models have no longer.
  for (std::string& name : names)
    if (name == "mask_token" || name == "proj" || name.starts_with("pre_logits.")) name.clear();
}

}  // namespace

std::vector<std::string> timm_names(const std::vector<TensorInfo>& tensors, std::span<const std::string> parameters) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  rename_efficientnet(tensors, parameters, names);
  rename_vgg(parameters, names);
  rename_densenet(names);
  rename_regnet(names);
  rename_tresnet(parameters, names);
  rename_vision_transformer(parameters, names);
  return names;
}

Tensor read_as_timm(const StateDict& state_dict, size_t index, std::string_view timm_name) {
  Tensor tensor = state_dict.read(index);
  const bool renamed = state_dict.tensors()[index].name != timm_name;
  if (!renamed || !timm_name.starts_with("body.") || !timm_name.ends_with("bn.weight")) return tensor;
  std::vector<float> scale = to_float32(tensor);
  for (float& v : scale) v = std::abs(v) + 1e-5f;
  const auto bytes = std::as_bytes(std::span(scale));
  return cast({DType::float32, tensor.shape, {bytes.begin(), bytes.end()}}, tensor.dtype);
}

}  // namespace wimm
