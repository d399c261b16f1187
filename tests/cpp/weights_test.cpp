// What the weight readers share: limits, checked sizes, sources, and names of other projects.
#include "wimm/weights.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <limits>

#include "weights/bytes.h"
#include "wimm/error.h"

using namespace wimm;

namespace {

template <typename Call>
std::string code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(code_name(error.code()));
  }
  return "none";
}

std::string safetensors(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return file + header + std::string(data_bytes, '\0');
}

std::string load(const std::string& file, const ReadLimits& limits = {}) {
  return code_of([&] { load_state_dict(memory_source(std::as_bytes(std::span(file))), limits); });
}

std::string many_tensors(size_t count) {
  std::string header = "{";
  for (size_t i = 0; i < count; ++i) {
    header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  return safetensors(header + "}", 0);
}

}  // namespace

TEST_CASE("a file has as many tensors as the limit, and no more") {
  CHECK(load(many_tensors(65'536)) == "none");
  CHECK(load(many_tensors(65'537)) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(many_tensors(1'000'000)) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("limits are of the caller's choice") {
  const std::string file = safetensors(R"({"name":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);
  CHECK(load(file) == "none");
  CHECK(load(file, {.header_bytes = 10}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.tensors = 0}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.tensor_name_bytes = 3}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.rank = 1}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.total_bytes = 15}) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("sums and products of sizes do not wrap") {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  CHECK(checked_add(largest, 0) == largest);
  CHECK(checked_multiply(largest, 1) == largest);
  CHECK(checked_multiply(largest, 0) == 0);
  CHECK(code_of([] { checked_add(largest, 1); }) == "ERR_LIMIT_EXCEEDED");
  CHECK(code_of([] { checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32); }) == "ERR_LIMIT_EXCEEDED");
  CHECK(code_of([] { checked_size(largest); }) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("the key of a checkpoint's tensors may be chosen") {
  const auto open = [](const std::string& file, const std::optional<std::string>& key) {
    return load_state_dict(file_source(WIMM_SOURCE_DIR "/tests/faults/torch/" + file), {}, key);
  };
  const auto first_float = [](const StateDict& state_dict) {
    return to_float32(state_dict.read(state_dict.find("conv.weight").value()))[0];
  };
  const std::string both = "V18_model_ema.pth";  // the weights of `model_ema` are those of `model` and 1
  CHECK(first_float(*open(both, "model_ema")) == first_float(*open(both, {})));
  CHECK(first_float(*open(both, "model_ema")) == first_float(*open(both, "model")) + 1);
  CHECK(open("V18_model_prefixed.pth", "model")->find("conv.weight"));
  CHECK(open("V10_module_legacy.pth", "")->find("conv.weight"));
  CHECK(open("V01_every_dtype.safetensors", "")->find("float16"));

  const auto message_of = [&](const std::string& file, const std::string& key) {
    try {
      open(file, key);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::state_dict_mismatch);
      return std::string(error.what());
    }
    return std::string();
  };
  for (const char* key : {"", "none", "epoch", "optimizer"}) {
    CAPTURE(key);
    CHECK(message_of(both, key).find("under \"model\", \"model_ema\"") != std::string::npos);
  }
  CHECK(message_of("V10_module.pth", "model").find("at its top") != std::string::npos);
  CHECK(message_of("V01_every_dtype.safetensors", "model").find("without a key") != std::string::npos);
}

TEST_CASE("UTF-8 is told from what only resembles it") {
  for (const char* text : {"", "abc", "Gewichte", "\u00fc", "\u91cd\u307f", "\U0001f600", "\U0010ffff"})
    CHECK(is_utf8(text));
  const char* malformed[] = {
      "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xff"};
  for (const char* text : malformed) CHECK_FALSE(is_utf8(text));
}

TEST_CASE("a byte stream reads across its window and not past its end") {
  std::string bytes(200'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
  const auto source = memory_source(std::as_bytes(std::span(bytes)));
  ByteStream stream(*source, 3, bytes.size() - 5);
  CHECK(stream.text(2) == bytes.substr(3, 2));
  stream.skip(65'500);
  CHECK(stream.text(100) == bytes.substr(65'505, 100));
  CHECK(stream.u8() == static_cast<uint8_t>(bytes[65'605]));
  CHECK(stream.text(100'000) == bytes.substr(65'606, 100'000));
  stream.skip(stream.remaining() - 2);
  CHECK(code_of([&] { stream.u32(); }) == "ERR_FORMAT_TRUNCATED");
  CHECK(code_of([&] { stream.text(std::numeric_limits<uint64_t>::max()); }) == "ERR_FORMAT_TRUNCATED");
  CHECK(code_of([&] { ByteStream(*source, 0, bytes.size() + 1); }) == "ERR_FORMAT_TRUNCATED");
}

TEST_CASE("files that cannot be read are reported") {
  CHECK(code_of([] { file_source("/does/not/exist"); }) == "ERR_INVALID_ARGUMENT");
  CHECK(code_of([] { file_source("/"); }) == "ERR_INVALID_ARGUMENT");
  std::byte byte;
  CHECK(code_of([&] { memory_source({})->read(0, {&byte, 1}); }) == "ERR_FORMAT_TRUNCATED");
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
  std::vector<TensorInfo> tensors;
  std::vector<std::string> expected;
  for (const auto& [from, to] : names) {
    tensors.push_back({from, DType::float32, {}});
    expected.push_back(to);
  }
  CHECK(timm_names(tensors, parameters) == expected);
  CHECK(timm_names(tensors, std::vector<std::string>{"conv1.weight"})[0] == "_conv_stem.weight");
  CHECK(timm_names({{"_bn1.weight", DType::float32, {}}}, parameters)[0] == "_bn1.weight");
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
  std::vector<TensorInfo> tensors;
  std::vector<std::string> expected;
  for (const auto& [from, to] : names) {
    tensors.push_back({from, DType::float32, {}});
    expected.push_back(to);
  }
  CHECK(timm_names(tensors, {}) == expected);
  CHECK(timm_names({{"stem.0.weight", DType::float32, {}}, {"fc.bias", DType::float32, {}}}, {}) ==
        std::vector<std::string>{"stem.0.weight", "fc.bias"});
}

TEST_CASE("the names of CLIP, DINOv2, AIMv2 and DeiT III become those of timm's vision transformer") {
  const std::vector<std::string> parameters = {"patch_embed.proj.weight", "blocks.0.norm1.weight"};
  using Names = std::vector<std::string>;
  const auto renamed = [&](const Names& names) {
    std::vector<TensorInfo> tensors;
    for (const std::string& name : names) tensors.push_back({name, DType::float32, {}});
    return timm_names(tensors, parameters);
  };
  CHECK(renamed({"visual.class_embedding", "visual.positional_embedding", "visual.conv1.weight", "visual.ln_pre.bias",
                 "visual.transformer.resblocks.3.attn.in_proj_weight",
                 "visual.transformer.resblocks.3.attn.out_proj.bias", "visual.transformer.resblocks.11.ln_2.weight",
                 "visual.transformer.resblocks.0.mlp.c_fc.weight", "visual.transformer.resblocks.0.mlp.c_proj.weight",
                 "visual.ln_post.weight", "visual.proj", "transformer.resblocks.0.ln_1.weight", "logit_scale"}) ==
        Names{"cls_token", "pos_embed", "patch_embed.proj.weight", "norm_pre.bias", "blocks.3.attn.qkv.weight",
              "blocks.3.attn.proj.bias", "blocks.11.norm2.weight", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight",
              "norm.weight", "", "", ""});
  CHECK(renamed({"visual.trunk.blocks.0.norm1.weight", "visual.trunk.pos_embed", "text.ln_final.weight"}) ==
        Names{"blocks.0.norm1.weight", "pos_embed", ""});
  CHECK(renamed({"mask_token", "blocks.39.mlp.w12.bias", "blocks.39.mlp.w3.weight", "blocks.0.ls1.gamma"}) ==
        Names{"", "blocks.39.mlp.fc1.bias", "blocks.39.mlp.fc2.weight", "blocks.0.ls1.gamma"});
  CHECK(renamed({"vision_encoder.mask_token", "vision_encoder.cls_token", "text_encoder.cls_token"}) ==
        Names{"", "cls_token", ""});
  CHECK(renamed({"preprocessor.patchifier.proj.weight", "preprocessor.pos_embed", "trunk.blocks.2.norm_1.weight",
                 "trunk.blocks.2.mlp.fc1.weight", "trunk.blocks.2.mlp.fc3.weight", "trunk.post_trunk_norm.weight"}) ==
        Names{"patch_embed.proj.weight", "pos_embed", "blocks.2.norm1.weight", "blocks.2.mlp.fc1_g.weight",
              "blocks.2.mlp.fc1_x.weight", "norm.weight"});
  CHECK(renamed({"blocks.0.gamma_1", "blocks.23.gamma_2", "pre_logits.fc.weight", "head.weight"}) ==
        Names{"blocks.0.ls1.gamma", "blocks.23.ls2.gamma", "", "head.weight"});
  CHECK(timm_names({{"mask_token", DType::float32, {}}}, {})[0] == "mask_token");
}

TEST_CASE("torchvision's names of DenseNet and VGG become timm's") {
  const auto renamed = [](const std::string& name) {
    return timm_names({{name, DType::float32, {}}}, std::vector<std::string>{"pre_logits.fc1.weight"})[0];
  };
  CHECK(renamed("features.denseblock1.denselayer2.norm.1.weight") == "features.denseblock1.denselayer2.norm1.weight");
  CHECK(renamed("features.denseblock4.denselayer16.conv.2.weight") == "features.denseblock4.denselayer16.conv2.weight");
  CHECK(renamed("features.transition1.conv.weight") == "features.transition1.conv.weight");
  CHECK(renamed("classifier.0.weight") == "pre_logits.fc1.weight");
  CHECK(renamed("classifier.6.bias") == "head.fc.bias");
  CHECK(renamed("features.0.weight") == "features.0.weight");
  CHECK(timm_names({{"classifier.0.weight", DType::float32, {}}}, {})[0] == "classifier.0.weight");
}
