// Checkpoints of other projects as timm's `checkpoint_filter_fn`s give them to its models.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "weights/convolutional_filters.h"
#include "weights/layouts.h"
#include "weights/renames.h"
#include "wimm/error.h"
#include "wimm/weights.h"

namespace wimm {

namespace {

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

// classy-vision's RegNet (SEER), of what follows "s1.b1.", and of the whole.
constexpr Rename kSeerBlock[] = {{"bn.", "downsample.bn."},         {"proj.", "downsample.conv."},
                                 {"f.a.0.", "conv1.conv."},         {"f.a.1.", "conv1.bn."},
                                 {"f.b.0.", "conv2.conv."},         {"f.b.1.", "conv2.bn."},
                                 {"f.final_bn.", "conv3.bn."},      {"f.se.excitation.0.", "se.fc1."},
                                 {"f.se.excitation.2.", "se.fc2."}, {"f.c.", "conv3.conv."}};
constexpr Rename kSeer[] = {{"_feature_blocks.conv1.stem.0.", "stem.conv."},
                            {"_feature_blocks.conv1.stem.1.", "stem.bn."},
                            {"0.clf.0.", "head.fc."}};
constexpr std::string_view kSeerTrunk = "_feature_blocks.res";

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

// What models of timm, mostly older ones, and of their authors keep, and ours compute.
void drop_buffers(std::span<const std::string> parameters, std::vector<std::string>& names) {
  for (std::string& name : names)
    for (const std::string_view buffer :
         {"relative_position_index", "relative_coords_table", "attention_bias_idxs", "attn_mask"})
      if (name.find(buffer) != std::string::npos && !contains(parameters, name)) name.clear();
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

// "_feature_blocks.res1.block1-0.f.a.0.weight" is in block 0 of stage 1.
void rename_seer(std::vector<std::string>& names) {
  const auto in_trunk = [](std::string_view name) { return name.starts_with(kSeerTrunk); };
  if (std::ranges::none_of(names, in_trunk)) return;
  for (std::string& name : names) {
    std::string_view rest = name;
    std::optional<std::string> renamed = rename(rest, kSeer);
    if (in_trunk(rest)) {
      rest.remove_prefix(std::min(rest.find(".block") + 6, rest.size()));
      const std::string_view stage = rest.substr(0, 1);
      rest.remove_prefix(std::min<size_t>(2, rest.size()));
      const std::optional<unsigned> block = take_index(rest);
      renamed = block ? rename(rest, kSeerBlock) : std::nullopt;
      if (renamed) renamed->insert(0, "s" + std::string(stage) + ".b" + std::to_string(*block + 1) + ".");
    }
    if (renamed) name = std::move(*renamed);
    if (name.find("projection_head") != std::string::npos || name.find("prototypes") != std::string::npos) name.clear();
  }
}

// "body.layer2.0.conv1.0.0.weight" and "body.layer2.0.downsample.1.1.weight" have what kTResNet names behind a number.
// Whether the checkpoint is of that kind.
bool rename_tresnet(std::span<const std::string> parameters, std::vector<std::string>& names) {
  if (std::ranges::find(parameters, kTResNetStem) == parameters.end()) return false;
  if (std::ranges::find(names, kTResNetStem) != names.end()) return false;
  for (std::string& name : names) {
    for (const std::string_view module : {".conv", ".downsample."}) {
      const size_t found = name.find(module);
      if (found == std::string::npos) continue;
      const size_t end = std::min(name.find_first_not_of("0123456789", found + module.size()), name.size());
      const std::optional<std::string> renamed = rename(std::string_view(name).substr(end), kTResNet);
      if (renamed) name.replace(end, std::string::npos, *renamed);
    }
  }
  return true;
}

// As timm's _convert_openai_clip, _convert_dinov2, _convert_aimv2, _convert_beit3, _convert_radio and
// _convert_mobileclip, and its layer scales of DeiT III.
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
constexpr Rename kBeit3[] = {{"beit3.", ""},
                             {"vision_embed.cls_token", "cls_token"},
                             {"vision_embed.", "patch_embed."},
                             {"embed_positions.", "pos_embed."},
                             {"encoder.", ""},
                             {"layers.", "blocks."},
                             {"ffn_layernorm.", "norm."},
                             {"ffn.", "mlp."},
                             {"self_attn_layer_norm.", "norm1."},
                             {"self_attn.", "attn."},
                             {"final_layer_norm.", "norm2."},
                             {"inner_attn_ln", "norm"},
                             {"out_proj", "proj"},
                             {".A.", "."}};
constexpr Rename kRadio[] = {{".grandma", ".gamma"}};
constexpr Rename kMobileClip[] = {{"patch_emb.", "patch_embed.backbone."},
                                  {"block.conv", "conv"},
                                  {"block.norm", "bn"},
                                  {"post_transformer_norm.", "norm."},
                                  {"pre_norm_mha.0", "norm1"},
                                  {"pre_norm_mha.1", "attn"},
                                  {"pre_norm_ffn.0", "norm2"},
                                  {"pre_norm_ffn.1", "mlp.fc1"},
                                  {"pre_norm_ffn.4", "mlp.fc2"},
                                  {"qkv_proj.", "qkv."},
                                  {"out_proj.", "proj."},
                                  {"transformer.", "blocks."},
                                  {"pos_embed.pos_embed.pos_embed", "pos_embed"}};
constexpr Rename kDeit3[] = {{".gamma_1", ".ls1.gamma"}, {".gamma_2", ".ls2.gamma"}};

// Where a checkpoint of a vision transformer comes from.
enum class Origin : uint8_t { timm, clip, open_clip, dinov2, aimv2, beit3, radio, mobile_clip };

Origin rename_vision_transformer(std::span<const std::string> parameters, std::vector<std::string>& names) {
  const auto embeds_patches = [](std::string_view name) { return name.starts_with("patch_embed."); };
  if (!contains(parameters, "blocks.0.norm1.weight") || std::ranges::none_of(parameters, embeds_patches))
    return Origin::timm;
  Origin origin = Origin::timm;
  for (const std::string prefix : {"visual.", "module.visual."}) {
    if (contains(names, prefix + "class_embedding")) {
      origin = Origin::clip;
      keep_module(names, prefix);
      replace_all(names, kClip);
    } else if (contains(names, prefix + "trunk.pos_embed") || contains(names, prefix + "trunk.blocks.0.norm1.weight")) {
      origin = Origin::open_clip;
      for (std::string& name : names)
        if (name == prefix + "head.proj.weight") name = prefix + "trunk.head.weight";
      keep_module(names, prefix + "trunk.");
    }
  }
  if (contains(names, "vision_encoder.mask_token")) keep_module(names, "vision_encoder.");
  if (contains(names, "mask_token")) {
    origin = Origin::dinov2;
    replace_all(names, kDinoV2);
  } else if (contains(names, "preprocessor.patchifier.proj.weight")) {
    origin = Origin::aimv2;
    replace_all(names, kAimV2);
  } else if (contains(names, "beit3.vision_embed.proj.weight")) {
    origin = Origin::beit3;
    for (std::string& name : names)  // those of the text are the branches B
      if (name.find(".B.") != std::string::npos || name == "beit3.text_embed.weight" ||
          name == "beit3.vision_embed.mask_token")
        name.clear();
    replace_all(names, kBeit3);
  } else if (contains(names, "radio_model.model.patch_generator.embedder.weight")) {
    origin = Origin::radio;
    keep_module(names, "radio_model.model.");
    for (std::string& name : names)
      if (!name.starts_with("blocks.") && !name.starts_with("patch_generator.")) name.clear();
    replace_all(names, kRadio);
  } else if (contains(names, "image_encoder.model.patch_emb.0.block.conv.weight")) {
    origin = Origin::mobile_clip;
    keep_module(names, "image_encoder.model.");
    replace_all(names, kMobileClip);
  }
  if (!contains(parameters, "blocks.0.gamma_1")) replace_all(names, kDeit3);
  // For training alone, or for a layer that the models have no longer.
  for (std::string& name : names)
    if (name == "mask_token" || name.starts_with("pre_logits.")) name.clear();
  return origin;
}

// A tensor under its name in timm, and how it is made of those of the checkpoint.
struct Entry {
  TensorInfo info;
  std::function<Tensor()> read;
  std::optional<size_t> same_as{};  // index of the checkpoint's tensor that has the same elements
};
using Entries = std::vector<Entry>;

Entry* entry_of(Entries& entries, std::string_view name) {
  const auto found =
      std::ranges::find(entries, name, [](const Entry& entry) -> std::string_view { return entry.info.name; });
  return found == entries.end() ? nullptr : &*found;
}

void drop(Entries& entries, std::string_view name) {
  std::erase_if(entries, [&](const Entry& entry) { return entry.info.name == name; });
}

Entry zeros(std::string name, DType dtype, Shape shape) {
  const TensorInfo info{std::move(name), dtype, std::move(shape)};
  return {info, [info] {
            return Tensor{info.dtype, info.shape,
                          std::vector<std::byte>(static_cast<size_t>(element_count(info.shape)) * size_of(info.dtype))};
          }};
}

// The elements from `begin` on, as many as `shape` has, in that shape.
Entry part_of(const Entry& entry, std::string name, int64_t begin, Shape shape) {
  const TensorInfo info{std::move(name), entry.info.dtype, std::move(shape)};
  return {info, [info, begin, read = entry.read] {
            Tensor tensor = read();
            const auto item = static_cast<int64_t>(size_of(info.dtype)), first = begin * item;
            const auto data = tensor.data.begin() + first;
            return Tensor{info.dtype, info.shape, {data, data + element_count(info.shape) * item}};
          }};
}

Entry reshaped(const Entry& entry, std::string name, Shape shape) {
  return part_of(entry, std::move(name), 0, std::move(shape));
}

// [O, I] → [I, O]
Entry transposed(const Entry& entry, std::string name) {
  const TensorInfo info{std::move(name), entry.info.dtype, {entry.info.shape[1], entry.info.shape[0]}};
  return {info, [info, read = entry.read] {
            const Tensor tensor = read();
            const auto rows = static_cast<size_t>(tensor.shape[0]), columns = static_cast<size_t>(tensor.shape[1]);
            const size_t item = size_of(tensor.dtype);
            Tensor result{tensor.dtype, info.shape, std::vector<std::byte>(tensor.data.size())};
            for (size_t row = 0; row < rows; ++row)
              for (size_t column = 0; column < columns; ++column)
                std::memcpy(&result.data[(column * rows + row) * item], &tensor.data[(row * columns + column) * item],
                            item);
            return result;
          }};
}

// Along the first dimension, in which alone they may differ.
Entry concatenated(const std::vector<Entry>& parts, std::string name) {
  TensorInfo info{std::move(name), parts[0].info.dtype, parts[0].info.shape};
  for (size_t i = 1; i < parts.size(); ++i) info.shape[0] += parts[i].info.shape[0];
  return {info, [info, parts] {
            Tensor result{info.dtype, info.shape, {}};
            for (const Entry& part : parts) {
              const Tensor tensor = part.read();
              result.data.insert(result.data.end(), tensor.data.begin(), tensor.data.end());
            }
            return result;
          }};
}

Entry sum_of(const Entry& a, const Entry& b, std::string name) {
  return {{std::move(name), a.info.dtype, a.info.shape}, [dtype = a.info.dtype, a = a.read, b = b.read] {
            const Tensor tensor = a();
            std::vector<float> sum = to_float32(tensor);
            const std::vector<float> other = to_float32(b());
            for (size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
            const auto bytes = std::as_bytes(std::span(sum));
            return cast({DType::float32, tensor.shape, {bytes.begin(), bytes.end()}}, dtype);
          }};
}

// A projection that ends the models of image and text is timm's classifier, which has a bias.
void convert_projection(Entries& entries, std::string_view name, bool transpose, const std::string& head = "head.") {
  const Entry* projection = entry_of(entries, name);
  if (projection == nullptr || projection->info.shape.size() != 2) return;
  Entry weight = transpose ? transposed(*projection, head + "weight") : *projection;
  drop(entries, name);
  entries.push_back(zeros(head + "bias", weight.info.dtype, {weight.info.shape[0]}));
  entries.push_back(std::move(weight));
}

// ConvNeXt V2's authors have [1, 1, 1, C] in global response normalisation.
void flatten_response_norms(Entries& entries) {
  for (Entry& entry : entries)
    if (entry.info.name.find(".grn.") != std::string::npos && entry.info.shape.size() == 4)
      entry = reshaped(entry, entry.info.name, {element_count(entry.info.shape)});
}

// The class token takes its position's embedding; what is left are those of patches.
void convert_registers(Entries& entries) {
  const Entry *registers = entry_of(entries, "register_tokens"), *token = entry_of(entries, "cls_token"),
              *positions = entry_of(entries, "pos_embed");
  if (registers == nullptr || token == nullptr || positions == nullptr) return;
  const Shape& shape = positions->info.shape;
  if (shape.size() != 3 || shape[0] != 1 || shape[1] < 1 || token->info.shape != Shape{1, 1, shape[2]}) return;
  std::vector<Entry> converted{reshaped(*registers, "reg_token", registers->info.shape),
                               sum_of(*token, part_of(*positions, "", 0, {1, 1, shape[2]}), "cls_token"),
                               part_of(*positions, "pos_embed", shape[2], {1, shape[1] - 1, shape[2]})};
  for (const std::string_view name : {"register_tokens", "cls_token", "pos_embed"}) drop(entries, name);
  entries.insert(entries.end(), converted.begin(), converted.end());
}

void convert_beit3(Entries& entries) {
  if (const Entry* positions = entry_of(entries, "pos_embed.weight"); positions && positions->info.shape.size() == 2) {
    const int64_t count = positions->info.shape[0], channels = positions->info.shape[1];
    if (count > 2) {  // the first two are of no token
      Entry converted = part_of(*positions, "pos_embed", 2 * channels, {1, count - 2, channels});
      *entry_of(entries, "pos_embed.weight") = std::move(converted);
    }
  }
  std::map<std::string, std::vector<Entry>> parts;  // of queries, keys and values
  for (const std::string part : {"q_proj.", "k_proj.", "v_proj."})
    for (const Entry& entry : entries)
      if (const size_t at = entry.info.name.find(".attn." + part); at != std::string::npos)
        parts[std::string(entry.info.name).replace(at + 6, part.size(), "qkv.")].push_back(entry);
  std::set<std::string> fused;
  for (const auto& [name, three] : parts) {
    const auto alike = [&three = three](const Entry& entry) {
      return !entry.info.shape.empty() && entry.info.shape == three[0].info.shape &&
             entry.info.dtype == three[0].info.dtype;
    };
    if (three.size() != 3 || !std::ranges::all_of(three, alike)) continue;
    for (const Entry& part : three) fused.insert(part.info.name);
    entries.push_back(concatenated(three, name));
  }
  std::erase_if(entries, [&](const Entry& entry) { return fused.contains(entry.info.name); });
}

void convert_radio(Entries& entries) {
  Entries converted;
  for (Entry& entry : entries) {
    const Shape& shape = entry.info.shape;
    const std::string& name = entry.info.name;
    if (name == "patch_generator.embedder.weight" && shape.size() == 2) {
      const auto side = static_cast<int64_t>(std::sqrt(static_cast<double>(shape[1] / 3)));
      if (shape[1] != 3 * side * side) continue;
      converted.push_back(reshaped(entry, "patch_embed.proj.weight", {shape[0], 3, side, side}));
      converted.push_back(zeros("patch_embed.proj.bias", entry.info.dtype, {shape[0]}));
    } else if (name == "patch_generator.pos_embed") {
      converted.push_back(reshaped(entry, "pos_embed", shape));
    } else if (name == "patch_generator.cls_token.token" && shape.size() == 2 && shape[0] > 1) {
      converted.push_back(part_of(entry, "cls_token", 0, {1, 1, shape[1]}));
      converted.push_back(part_of(entry, "reg_token", shape[1], {1, shape[0] - 1, shape[1]}));
    } else if (name.starts_with("blocks.")) {
      converted.push_back(std::move(entry));
    }
  }
  entries = std::move(converted);
}

void convert_mobile_clip(Entries& entries) {
  convert_projection(entries, "classifier.proj", true);
  Entry* positions = entry_of(entries, "pos_embed");
  if (positions && positions->info.shape.size() == 4 && positions->info.shape[0] == 1)
    *positions = reshaped(*positions, "pos_embed", {positions->info.shape.begin() + 1, positions->info.shape.end()});
}

void convert(Entries& entries, Origin origin, bool has_head) {
  switch (origin) {
    case Origin::clip:
      return convert_projection(entries, "proj", true);
    case Origin::open_clip:
      if (!has_head) drop(entries, "head.weight");
      return convert_projection(entries, "head.weight", false);
    case Origin::dinov2:
      return convert_registers(entries);
    case Origin::beit3:
      return convert_beit3(entries);
    case Origin::radio:
      return convert_radio(entries);
    case Origin::mobile_clip:
      return convert_mobile_clip(entries);
    case Origin::aimv2:
    case Origin::timm:
      break;
  }
}

// XCiT's authors have one layer for the queries, keys and values of class attention.
void split_class_attention(Entries& entries) {
  constexpr std::string_view module = ".attn.qkv.";
  Entries split;
  for (Entry& entry : entries) {
    const size_t at = entry.info.name.find(module);
    const bool fused = entry.info.name.starts_with("cls_attn_blocks.") && at != std::string::npos;
    Shape shape = entry.info.shape;
    if (!fused || shape.empty() || shape[0] % 3 != 0) {
      split.push_back(std::move(entry));
      continue;
    }
    shape[0] /= 3;
    const int64_t part = element_count(shape);
    for (int64_t i = 0; i < 3; ++i) {
      std::string name = entry.info.name;
      name.replace(at, module.size(), std::string(".attn.") + "qkv"[i] + '.');
      split.push_back(part_of(entry, std::move(name), i * part, shape));
    }
  }
  entries = std::move(split);
}

// TResNet's authors have in-place activated norms, whose scale is |weight| + 1e-5.
Entry inplace_scale(const Entry& entry) {
  return {entry.info, [read = entry.read] {
            const Tensor tensor = read();
            std::vector<float> scale = to_float32(tensor);
            for (float& v : scale) v = std::abs(v) + 1e-5f;
            const auto bytes = std::as_bytes(std::span(scale));
            return cast({DType::float32, tensor.shape, {bytes.begin(), bytes.end()}}, tensor.dtype);
          }};
}

class FilteredStateDict final : public StateDict {
 public:
  FilteredStateDict(const StateDict& checkpoint, Entries entries) : checkpoint_(checkpoint) {
    for (Entry& entry : entries) {
      tensors_.push_back(std::move(entry.info));
      reads_.push_back(std::move(entry.read));
      same_as_.push_back(entry.same_as);
    }
  }
  std::string_view format() const override { return checkpoint_.format(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Tensor read(size_t index) const override { return reads_.at(index)(); }
  void read_into(size_t index, std::span<std::byte> out) const override {
    if (same_as_[index]) return checkpoint_.read_into(*same_as_[index], out);
    StateDict::read_into(index, out);
  }
  uint64_t end(size_t index) const override { return same_as_[index] ? checkpoint_.end(*same_as_[index]) : whole_file; }

 private:
  const StateDict& checkpoint_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::function<Tensor()>> reads_;
  std::vector<std::optional<size_t>> same_as_;
};

}  // namespace

FilteredCheckpoint filter_checkpoint(const StateDict& state_dict, std::span<const std::string> parameters) {
  const std::vector<TensorInfo>& tensors = state_dict.tensors();
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  rename_efficientnet(tensors, parameters, names);
  rename_vgg(parameters, names);
  rename_densenet(names);
  rename_regnet(names);
  rename_seer(names);
  drop_buffers(parameters, names);
  rename_layout(parameters, names);
  const bool inplace_norms = rename_tresnet(parameters, names);
  const Origin origin = rename_vision_transformer(parameters, names);
  const bool transposes = contains(names, "image_encoder.model.head.proj") || contains(names, "head.proj");
  const bool projects = rename_convolutional(parameters, names);

  Entries entries;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (names[i].empty()) continue;
    Entry entry{{names[i], tensors[i].dtype, tensors[i].shape}, [&state_dict, i] { return state_dict.read(i); }, i};
    const bool is_scale = inplace_norms && names[i].ends_with("bn.weight");
    entries.push_back(is_scale ? inplace_scale(entry) : std::move(entry));
  }
  convert(entries, origin, contains(parameters, "head.weight"));
  if (projects) convert_projection(entries, "head.fc.weight", transposes, "head.fc.");
  flatten_response_norms(entries);
  if (contains(parameters, "cls_attn_blocks.0.attn.q.weight")) split_class_attention(entries);
  return {std::make_unique<FilteredStateDict>(state_dict, std::move(entries)), origin == Origin::radio};
}

}  // namespace wimm
