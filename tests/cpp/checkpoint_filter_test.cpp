// Checkpoints in the layouts of other projects become timm's by name and shape.
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <rapidjson/istreamwrapper.h>

#include <cmath>
#include <fstream>
#include <map>
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

// By layout: of the parameters of the models that it fits those by which they are told, and names that their weights
// get.
struct Fit {
  Names parameters, names;
};
const std::map<std::string, Fit, std::less<>> fits = {
    {"res_mlp",
     {{"blocks.0.linear_tokens.weight"}, {"stem.proj.weight", "blocks.0.ls1", "blocks.11.mlp_channels.fc2.bias"}}},
    {"pool_former",
     {{"stages.0.blocks.0.layer_scale1.scale"},
      {"stem.conv.weight", "stages.1.downsample.conv.weight", "stages.3.blocks.1.layer_scale2.scale",
       "head.norm.weight"}}},
    {"meta_former",
     {{"stages.2.blocks.0.res_scale1.scale"},
      {"stem.conv.weight", "stages.1.downsample.conv.weight", "stages.3.blocks.1.res_scale2.scale",
       "head.norm.weight"}}},
    {"focal_net",
     {{"layers.0.blocks.0.modulation.f.weight"},
      {"stem.proj.weight", "layers.1.downsample.proj.weight", "head.fc.weight"}}},
    {"pvt",
     {{"stages.0.blocks.0.mlp.dwconv.weight"},
      {"stages.3.downsample.proj.weight", "stages.3.blocks.1.mlp.dwconv.bias"}}},
    {"pit",
     {{"transformers.0.blocks.0.norm1.weight"}, {"transformers.1.pool.conv.weight", "transformers.2.pool.fc.bias"}}},
    {"xcit",
     {{"cls_attn_blocks.0.attn.q.weight"}, {"pos_embed.token_projection.weight", "cls_attn_blocks.1.attn.v.bias"}}},
    {"fb_convnext",
     {{"stages.0.blocks.0.conv_dw.weight"},
      {"stem.0.weight", "stages.1.downsample.0.weight", "stages.3.blocks.1.mlp.fc2.bias", "head.norm.weight"}}},
    {"open_clip_convnext", {{"stages.0.blocks.0.conv_dw.weight"}, {"stem.0.weight", "head.fc.weight", "head.fc.bias"}}},
    {"fb_mambaout",
     {{"stem.conv1.weight"},
      {"stem.norm2.bias", "stages.1.downsample.conv.weight", "stages.3.blocks.0.conv.weight",
       "head.pre_logits.fc.weight"}}},
    {"clip_resnet",
     {{"stem.conv1.conv.weight", "head.pos_embed"},
      {"stem.conv3.bn.weight", "stages.0.0.shortcut.conv.conv.weight", "stages.3.2.conv3_1x1.bn.running_var"}}},
    {"mobile_clip_fastvit",
     {{"stem.0.conv_kxk.0.conv.weight"},
      {"stem.2.identity.weight", "stages.1.downsample.proj.0.large_conv.conv.weight", "head.fc.bias"}}},
    {"ghostnet_authors",
     {{"blocks.0.0.ghost1.primary_rpr_conv.0.conv.weight"}, {"blocks.0.0.ghost1.primary_rpr_conv.0.bn1.weight"}}},
    {"mmdet_cspnext", {{"stages.0.1.short_conv.conv.weight"}, {"stages.3.0.conv.weight"}}},
};

TEST_CASE("the layouts of other projects become timm's: what is renamed, cut and joined can be read") {
  std::ifstream file(WIMM_SOURCE_DIR "/tests/parity/filter_goldens.json");
  rapidjson::IStreamWrapper stream(file);
  rapidjson::Document cases;
  cases.ParseStream(stream);
  REQUIRE(cases.IsArray());
  for (const auto& golden : cases.GetArray()) {
    const std::string layout = golden["layout"].GetString();
    CAPTURE(layout);
    std::vector<TensorInfo> tensors;
    for (const auto& tensor : golden["tensors"].GetArray()) {
      tensors.push_back({tensor[0].GetString(), DType::float32, {}});
      for (const auto& dim : tensor[1].GetArray()) tensors.back().shape.push_back(dim.GetInt64());
    }
    const auto fit = fits.find(layout);
    const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
    const FilteredCheckpoint filtered =
        filter_checkpoint(checkpoint, fit == fits.end() ? vision_transformer : fit->second.parameters);
    const auto& found = filtered.state_dict->tensors();
    CHECK(!found.empty());
    for (size_t i = 0; i < found.size(); ++i) {
      const TensorInfo& info = found[i];
      if (info.name.ends_with("num_batches_tracked")) continue;  // an integer here, which no model reads
      const Tensor tensor = filtered.state_dict->read(i);
      CHECK(tensor.shape == info.shape);
      CHECK(tensor.data.size() == static_cast<size_t>(element_count(info.shape)) * size_of(info.dtype));
    }
    if (fit == fits.end()) continue;
    for (const std::string& wanted : fit->second.names) {
      const std::string name = wanted;
      CHECK_MESSAGE(filtered.state_dict->find(name).has_value(), name);
    }
  }
}

TEST_CASE("the names of TResNet's authors become timm's, and scales of in-place norms those of norms") {
  const Names authors = {"body.conv1.0.weight",
                         "body.conv1.1.weight",
                         "body.layer1.0.conv2.0.1.bias",
                         "body.layer2.0.conv1.0.0.weight",
                         "body.layer2.0.downsample.1.1.weight",
                         "head.fc.weight"};
  const Names parameters = {"body.conv1.conv.weight"};
  CHECK(names_of(authors, parameters) == Names{"body.conv1.conv.weight", "body.conv1.bn.weight",
                                               "body.layer1.0.conv2.bn.bias", "body.layer2.0.conv1.conv.weight",
                                               "body.layer2.0.downsample.1.bn.weight", "head.fc.weight"});
  CHECK(names_of(parameters, parameters) == parameters);
  const parity::SyntheticCheckpoint checkpoint(
      {{"body.conv1.0.weight", DType::float32, {1}}, {"body.conv1.1.weight", DType::float32, {9}}}, 1, DType::float32);
  const FilteredCheckpoint filtered = filter_checkpoint(checkpoint, parameters);
  const std::vector<float> before = to_float32(checkpoint.read(1)), after = to_float32(filtered.state_dict->read(1));
  for (size_t i = 0; i < before.size(); ++i) CHECK(after[i] == std::abs(before[i]) + 1e-5f);
}

TEST_CASE("names that only resemble those of other projects are left for the model to refuse") {
  const Names clip = {"visual.conv1.weight",          "visual.layer1",
                      "visual.layer1.0.other.weight", "visual.layer1.0.weight",
                      "visual.layer1.0.downsample.x", "visual.layerx.0.conv1.weight",
                      "visual.attnpool.q_proj.bias",  "visual.bn",
                      "visual.other.weight",          "text.weight"};
  CHECK(names_of(clip, {"stem.conv1.conv.weight"}) == Names{"stem.conv1.conv.weight", "bn", "other.weight"});
  CHECK(names_of({"downsample_layers.0.0.weight", "downsample_layers.x", "stages.x.0.weight", "projectors.0.weight",
                  "norms.0.weight"},
                 {"stages.0.blocks.0.conv_dw.weight"}) ==
        Names{"stem.0.weight", "downsample_layers.x", "stages.x.0.weight"});
  CHECK(names_of({"stem.0.weight"}, {"stages.0.blocks.0.conv_dw.weight"}) == Names{"stem.0.weight"});
  CHECK(names_of({"stem.conv1.weight"}, {"stem.conv1.weight"}) == Names{"stem.conv1.weight"});
  CHECK(
      names_of({"patch_embed.0.rbr_conv.0.conv.weight", "network.x.0.weight", "head.weight", "network.0.0.layer_scale"},
               {"stem.0.conv_kxk.0.conv.weight"}) == Names{"stem.0.conv_kxk.0.conv.weight", "network.x.0.weight",
                                                           "head.fc.weight", "stages.0.blocks.0.layer_scale.gamma"});
  CHECK(names_of({"stem.0.weight"}, {"stem.0.conv_kxk.0.conv.weight"}) == Names{"stem.0.weight"});
  CHECK(names_of({"module.visual.trunk.stem.0.conv_kxk.0.conv.weight", "module.text.weight"},
                 {"stem.0.conv_kxk.0.conv.weight"}) == Names{"stem.0.conv_kxk.0.conv.weight"});
  CHECK(names_of({"blocks.0.0.ghost1.total_ops", "blocks.0.0.bn.weight", "blocks.0.0.ghost1.bn.weight"},
                 {"blocks.0.0.ghost1.primary_rpr_conv.0.conv.weight"}) ==
        Names{"blocks.0.0.bn.weight", "blocks.0.0.ghost1.bn1.weight"});
  CHECK(names_of({"backbone.stem.0.conv.weight", "backbone.stagex.0.weight", "head.weight"},
                 {"stages.0.1.short_conv.conv.weight"}) == Names{"stem.0.conv.weight", "stagex.0.weight"});
  CHECK(names_of({"stages.0.0.conv.weight"}, {"stages.0.1.short_conv.conv.weight"}) == Names{"stages.0.0.conv.weight"});
  CHECK(names_of({"_blocks.9x", "_conv_stem.weight"},
                 {"blocks.0.0.conv_dw.weight", "blocks.x.0.weight", "blocks.0.x.weight"}) ==
        Names{"_blocks.9x", "conv_stem.weight"});
  CHECK(names_of({"patch_embed1.proj.weight", "block99999999999.0.weight", "block", "norm.weight"},
                 {"stages.0.blocks.0.mlp.dwconv.weight"}) ==
        Names{"patch_embed.proj.weight", "block99999999999.0.weight", "block", "norm.weight"});
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

TEST_CASE("indices that EfficientFormer's files have and models compute are left out") {
  CHECK(names_of({"token_mixer.attention_biases", "token_mixer.attention_bias_idxs"},
                 {"token_mixer.attention_biases"}) == Names{"token_mixer.attention_biases"});
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
  CHECK(names({{"radio_model.model.patch_generator.embedder.weight", f32, {4}},
               {"radio_model.model.patch_generator.cls_token.token", f32, {4}}}) == Names{});
  CHECK(names({{"visual.class_embedding", f32, {4}}}) == Names{"cls_token"});
  for (const Shape& positions : {Shape{3, 4}, Shape{2, 3, 4}, Shape{1, 0, 4}})
    CHECK(names({{"mask_token", f32, {1, 4}},
                 {"register_tokens", f32, {1, 2, 4}},
                 {"cls_token", f32, {1, 1, 4}},
                 {"pos_embed", f32, positions}}) == Names{"register_tokens", "cls_token", "pos_embed"});
  CHECK(names({{"mask_token", f32, {1, 4}}, {"register_tokens", f32, {1, 2, 4}}}) == Names{"register_tokens"});
  CHECK(names({{"mask_token", f32, {1, 4}}, {"register_tokens", f32, {1, 2, 4}}, {"cls_token", f32, {1, 1, 4}}}) ==
        Names{"register_tokens", "cls_token"});
  CHECK(names({{"beit3.vision_embed.proj.weight", f32, {4, 3, 2, 2}},
               {"beit3.encoder.embed_positions.A.weight", f32, {3}},
               {"beit3.encoder.layers.0.self_attn.q_proj.A.bias", f32, {}},
               {"beit3.encoder.layers.0.self_attn.k_proj.A.bias", f32, {}},
               {"beit3.encoder.layers.0.self_attn.v_proj.A.bias", f32, {}},
               {"beit3.encoder.layers.1.self_attn.q_proj.A.weight", f32, {4, 4}}}) ==
        Names{"patch_embed.proj.weight", "pos_embed.weight", "blocks.0.attn.q_proj.bias", "blocks.0.attn.k_proj.bias",
              "blocks.0.attn.v_proj.bias", "blocks.1.attn.q_proj.weight"});
  CHECK(names({{"image_encoder.model.patch_emb.0.block.conv.weight", f32, {4, 3, 2, 2}},
               {"image_encoder.model.pos_embed.pos_embed.pos_embed", f32, {2, 1, 3, 4}}}) ==
        Names{"patch_embed.backbone.0.conv.weight", "pos_embed"});
}

}  // namespace
}  // namespace wimm
