// Checkpoints in the layouts of other projects become timm's by name and shape.
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <rapidjson/istreamwrapper.h>

#include <fstream>
#include <string>

#include "parity/synthetic.h"
#include "wimm/weights.h"

namespace wimm {
namespace {

std::vector<std::string> names_of(const std::vector<std::string>& names, const std::vector<std::string>& parameters) {
  std::vector<TensorInfo> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::float32, {}});
  const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
  std::vector<std::string> filtered;
  const FilteredCheckpoint result = filter_checkpoint(checkpoint, parameters);
  for (const TensorInfo& tensor : result.state_dict->tensors()) filtered.push_back(tensor.name);
  return filtered;
}

using Names = std::vector<std::string>;
const Names vision_transformer = {"patch_embed.proj.weight", "blocks.0.norm1.weight"};

TEST_CASE("the layouts of other projects become timm's: what is renamed, cut and joined can be read") {
  std::ifstream file(WIMM_SOURCE_DIR "/tests/parity/filter_goldens.json");
  rapidjson::IStreamWrapper stream(file);
  rapidjson::Document cases;
  cases.ParseStream(stream);
  REQUIRE(cases.IsArray());
  for (const auto& golden : cases.GetArray()) {
    CAPTURE(std::string(golden["layout"].GetString()));
    std::vector<TensorInfo> tensors;
    for (const auto& tensor : golden["tensors"].GetArray()) {
      tensors.push_back({tensor[0].GetString(), DType::float32, {}});
      for (const auto& dim : tensor[1].GetArray()) tensors.back().shape.push_back(dim.GetInt64());
    }
    const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
    const FilteredCheckpoint filtered = filter_checkpoint(checkpoint, vision_transformer);
    const auto& found = filtered.state_dict->tensors();
    CHECK(!found.empty());
    for (size_t i = 0; i < found.size(); ++i) {
      const TensorInfo& info = found[i];
      if (info.name.ends_with("num_batches_tracked")) continue;  // an integer here, which no model reads
      const Tensor tensor = filtered.state_dict->read(i);
      CHECK(tensor.shape == info.shape);
      CHECK(tensor.data.size() == static_cast<size_t>(element_count(info.shape)) * size_of(info.dtype));
    }
  }
}

TEST_CASE("the names of AIMv2 and DeiT III become those of timm's vision transformer") {
  const auto renamed = [](const Names& names) { return names_of(names, vision_transformer); };
  CHECK(renamed({"preprocessor.patchifier.proj.weight", "preprocessor.pos_embed", "trunk.blocks.2.norm_1.weight",
                 "trunk.blocks.2.mlp.fc1.weight", "trunk.blocks.2.mlp.fc3.weight", "trunk.post_trunk_norm.weight"}) ==
        Names{"patch_embed.proj.weight", "pos_embed", "blocks.2.norm1.weight", "blocks.2.mlp.fc1_g.weight",
              "blocks.2.mlp.fc1_x.weight", "norm.weight"});
  CHECK(renamed({"mask_token", "blocks.39.mlp.w12.bias", "blocks.39.mlp.w3.weight", "blocks.0.ls1.gamma"}) ==
        Names{"blocks.39.mlp.fc1.bias", "blocks.39.mlp.fc2.weight", "blocks.0.ls1.gamma"});
  CHECK(renamed({"blocks.0.gamma_1", "blocks.23.gamma_2", "pre_logits.fc.weight", "head.weight"}) ==
        Names{"blocks.0.ls1.gamma", "blocks.23.ls2.gamma", "head.weight"});
  CHECK(names_of({"mask_token"}, {}) == Names{"mask_token"});
}

TEST_CASE("names of EfficientNet-PyTorch become timm's") {
  const std::vector<std::string> parameters = {"conv_stem.weight",
                                               "bn1.weight",
                                               "blocks.0.0.conv_dw.weight",
                                               "blocks.1.0.conv_pw.weight",
                                               "blocks.1.1.conv_pw.weight",
                                               "blocks.10.0.conv_pw.weight",
                                               "bn2.weight",
                                               "classifier.bias"};
  const std::vector<std::pair<std::string, std::string>> names = {
      {"_conv_stem.weight", "conv_stem.weight"},
      {"_bn0.running_var", "bn1.running_var"},
      {"_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"},
      {"_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"},
      {"_blocks.0._se_reduce.weight", "blocks.0.0.se.conv_reduce.weight"},
      {"_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"},
      {"_blocks.0._bn2.weight", "blocks.0.0.bn2.weight"},
      {"_blocks.2._expand_conv.weight", "blocks.1.1.conv_pw.weight"},
      {"_blocks.2._bn0.weight", "blocks.1.1.bn1.weight"},
      {"_blocks.2._depthwise_conv.weight", "blocks.1.1.conv_dw.weight"},
      {"_blocks.2._bn1.weight", "blocks.1.1.bn2.weight"},
      {"_blocks.2._se_expand.bias", "blocks.1.1.se.conv_expand.bias"},
      {"_blocks.2._project_conv.weight", "blocks.1.1.conv_pwl.weight"},
      {"_blocks.2._bn2.weight", "blocks.1.1.bn3.weight"},
      {"_blocks.3._depthwise_conv.weight", "blocks.10.0.conv_dw.weight"},
      {"_blocks.4._depthwise_conv.weight", "_blocks.4._depthwise_conv.weight"},  // the model has no fifth block
      {"_blocks.x._bn1.weight", "_blocks.x._bn1.weight"},
      {"_conv_head.weight", "conv_head.weight"},
      {"_bn1.weight", "bn2.weight"},
      {"_fc.bias", "classifier.bias"},
      {"other", "other"}};
  Names foreign, expected;
  for (const auto& [from, to] : names) {
    foreign.push_back(from);
    expected.push_back(to);
  }
  CHECK(names_of(foreign, parameters) == expected);
  CHECK(names_of(foreign, {"conv1.weight"})[0] == "_conv_stem.weight");
  CHECK(names_of({"_bn1.weight"}, parameters)[0] == "_bn1.weight");
}

TEST_CASE("torchvision's names of RegNet become timm's") {
  const std::pair<const char*, const char*> names[] = {
      {"stem.0.weight", "stem.conv.weight"},
      {"stem.1.running_var", "stem.bn.running_var"},
      {"trunk_output.block1.block1-0.proj.0.weight", "s1.b1.downsample.conv.weight"},
      {"trunk_output.block1.block1-0.proj.1.bias", "s1.b1.downsample.bn.bias"},
      {"trunk_output.block1.block1-0.f.a.0.weight", "s1.b1.conv1.conv.weight"},
      {"trunk_output.block3.block3-11.f.b.1.weight", "s3.b12.conv2.bn.weight"},
      {"trunk_output.block3.block3-11.f.se.fc1.bias", "s3.b12.se.fc1.bias"},
      {"trunk_output.block4.block4-1.f.c.0.weight", "s4.b2.conv3.conv.weight"},
      {"trunk_output.block4.other", "trunk_output.block4.other"},
      {"trunk_output.block", "trunk_output.block"},
      {"fc.weight", "head.fc.weight"},
  };
  Names foreign, expected;
  for (const auto& [from, to] : names) {
    foreign.push_back(from);
    expected.push_back(to);
  }
  CHECK(names_of(foreign, {}) == expected);
  CHECK(names_of({"stem.0.weight", "fc.bias"}, {}) == std::vector<std::string>{"stem.0.weight", "fc.bias"});
}

TEST_CASE("torchvision's names of DenseNet and VGG become timm's") {
  const auto renamed = [](const std::string& name) { return names_of({name}, {"pre_logits.fc1.weight"})[0]; };
  CHECK(renamed("features.denseblock1.denselayer2.norm.1.weight") == "features.denseblock1.denselayer2.norm1.weight");
  CHECK(renamed("features.denseblock4.denselayer16.conv.2.weight") == "features.denseblock4.denselayer16.conv2.weight");
  CHECK(renamed("features.transition1.conv.weight") == "features.transition1.conv.weight");
  CHECK(renamed("classifier.0.weight") == "pre_logits.fc1.weight");
  CHECK(renamed("classifier.6.bias") == "head.fc.bias");
  CHECK(renamed("features.0.weight") == "features.0.weight");
  CHECK(names_of({"classifier.0.weight"}, {})[0] == "classifier.0.weight");
}

TEST_CASE("the names of Swin's authors become timm's, without what models compute themselves") {
  const Names parameters = {"layers.1.downsample.reduction.weight", "layers.1.downsample.norm.weight",
                            "head.fc.weight"};
  CHECK(names_of({"layers.0.downsample.reduction.weight", "layers.0.downsample.norm.weight",
                  "layers.10.blocks.1.attn.qkv.weight", "layers.0.blocks.1.attn_mask",
                  "layers.0.blocks.1.attn.relative_position_index", "layers.0.blocks.1.attn.relative_coords_table",
                  "head.weight"},
                 parameters) == Names{"layers.1.downsample.reduction.weight", "layers.1.downsample.norm.weight",
                                      "layers.10.blocks.1.attn.qkv.weight", "head.fc.weight"});
  const Names own = {"layers.1.downsample.reduction.weight", "head.fc.weight"};
  CHECK(names_of(own, parameters) == own);
  CHECK(names_of({"layers.0.downsample.reduction.weight"}, {}) == Names{"layers.0.downsample.reduction.weight"});
}

TEST_CASE("layer scales keep their names where they are those of BEiT") {
  const Names names = {"blocks.0.gamma_1", "blocks.1.gamma_2"};
  CHECK(names_of(names, {"blocks.0.norm1.weight", "patch_embed.proj.weight", "blocks.0.gamma_1"}) == names);
}

TEST_CASE("SEER's names of RegNet become timm's") {
  CHECK(names_of({"_feature_blocks.conv1.stem.0.weight", "_feature_blocks.conv1.stem.1.running_var",
                  "_feature_blocks.res1.block1-0.proj.weight", "_feature_blocks.res1.block1-0.bn.weight",
                  "_feature_blocks.res1.block1-0.f.a.0.weight", "_feature_blocks.res3.block3-11.f.a.1.bias",
                  "_feature_blocks.res3.block3-11.f.b.0.weight", "_feature_blocks.res3.block3-11.f.b.1.weight",
                  "_feature_blocks.res3.block3-11.f.se.excitation.0.bias",
                  "_feature_blocks.res3.block3-11.f.se.excitation.2.weight", "_feature_blocks.res4.block4-0.f.c.weight",
                  "_feature_blocks.res4.block4-0.f.final_bn.weight", "_feature_blocks.res", "0.clf.0.weight",
                  "0.projection_head.weight", "1.prototypes0.weight"},
                 {}) == Names{"stem.conv.weight", "stem.bn.running_var", "s1.b1.downsample.conv.weight",
                              "s1.b1.downsample.bn.weight", "s1.b1.conv1.conv.weight", "s3.b12.conv1.bn.bias",
                              "s3.b12.conv2.conv.weight", "s3.b12.conv2.bn.weight", "s3.b12.se.fc1.bias",
                              "s3.b12.se.fc2.weight", "s4.b1.conv3.conv.weight", "s4.b1.conv3.bn.weight",
                              "_feature_blocks.res", "head.fc.weight"});
}

TEST_CASE("shapes that no such checkpoint has are left for the model to refuse") {
  const auto names = [](const std::vector<TensorInfo>& tensors) {
    const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
    const FilteredCheckpoint filtered = filter_checkpoint(checkpoint, vision_transformer);
    Names result;
    for (size_t i = 0; i < filtered.state_dict->tensors().size(); ++i) {
      const auto& [name, dtype, shape] = filtered.state_dict->tensors()[i];
      const Tensor tensor = filtered.state_dict->read(i);
      CHECK(tensor.shape == shape);
      CHECK(tensor.data.size() == static_cast<size_t>(element_count(shape)) * size_of(dtype));
      result.push_back(name);
    }
    return result;
  };
  const auto f32 = DType::float32;
  CHECK(names({{"visual.class_embedding", f32, {4}}, {"visual.proj", f32, {4}}}) == Names{"cls_token", "proj"});
  CHECK(names({{"mask_token", f32, {1, 4}},
               {"register_tokens", f32, {1, 2, 4}},
               {"cls_token", f32, {1, 1, 5}},
               {"pos_embed", f32, {1, 3, 4}}}) == Names{"register_tokens", "cls_token", "pos_embed"});
  CHECK(names({{"beit3.vision_embed.proj.weight", f32, {4, 3, 2, 2}},
               {"beit3.encoder.embed_positions.A.weight", f32, {2, 4}},
               {"beit3.encoder.layers.0.self_attn.q_proj.A.weight", f32, {4, 4}},
               {"beit3.encoder.layers.0.self_attn.k_proj.A.weight", f32, {4, 5}},
               {"beit3.encoder.layers.0.self_attn.v_proj.A.weight", f32, {4, 4}}}) ==
        Names{"patch_embed.proj.weight", "pos_embed.weight", "blocks.0.attn.q_proj.weight",
              "blocks.0.attn.k_proj.weight", "blocks.0.attn.v_proj.weight"});
  CHECK(names({{"radio_model.model.patch_generator.embedder.weight", f32, {4, 11}},
               {"radio_model.model.patch_generator.cls_token.token", f32, {1, 4}}}) == Names{});
}

}  // namespace
}  // namespace wimm
