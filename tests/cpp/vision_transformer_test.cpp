// What a caller sees of a vision transformer: its image sizes, tokens, feature levels and pools. That it computes what
// timm computes is tests/parity's matter.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "models/families.h"
#include "parity/synthetic.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

template <class Work>
std::optional<Error> error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

std::optional<ErrorCode> code_of(auto work) {
  const std::optional<Error> error = error_of(work);
  return error ? std::optional(error->code()) : std::nullopt;
}

FloatTensor zeros(const Shape& shape) { return {shape, std::vector<float>(element_count(shape))}; }

Shape forward(Model& model, const Shape& shape) {
  const FloatTensor x = zeros(shape);
  return model.forward({x.shape, x.data}).shape;
}

}  // namespace

TEST_CASE("an image of another size is refused with the size that the model takes, which img_size sets") {
  const auto model = create_model("test_vit3");
  const auto error = error_of([&] { forward(*model, {1, 3, 96, 160}); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::input_shape);
  CHECK(std::string(error->what()).find("160 × 160") != std::string::npos);
  CHECK(forward(*model, {1, 3, 160, 160}) == Shape{1, 1000});

  ModelOptions options;
  options.img_size = {96, 160};
  const auto wide = create_model("test_vit3", options);
  CHECK(forward(*wide, {2, 3, 96, 160}) == Shape{2, 1000});
  CHECK(code_of([&] { forward(*wide, {1, 3, 160, 160}); }) == ErrorCode::input_shape);
  options.img_size = {8, 160};
  CHECK(code_of([&] { create_model("test_vit3", options); }) == ErrorCode::invalid_argument);
}

TEST_CASE("a model of dynamic size takes whole patches") {
  const auto model = create_model("test_vit");
  CHECK(forward(*model, {1, 3, 32, 240}) == Shape{1, 1000});
  CHECK(code_of([&] { forward(*model, {1, 3, 40, 240}); }) == ErrorCode::input_shape);
}

TEST_CASE("features are tokens, and a head takes them") {
  const auto model = create_model("test_vit3");
  const FloatTensor x = zeros({2, 3, 160, 160});
  const FloatTensor features = model->forward_features({x.shape, x.data});
  CHECK(features.shape == Shape{2, 101, 96});
  CHECK(model->forward_head({features.shape, features.data}).shape == Shape{2, 1000});
  CHECK(model->forward_head({features.shape, features.data}, true).shape == Shape{2, 96});
  CHECK(model->embed({x.shape, x.data}).shape == Shape{2, 96});
  const FloatTensor map = zeros({1, 96, 10, 10}), other = zeros({1, 101, 95});
  CHECK(code_of([&] { model->forward_head({map.shape, map.data}); }) == ErrorCode::input_shape);
  CHECK(code_of([&] { model->forward_head({other.shape, other.data}); }) == ErrorCode::input_shape);
}

TEST_CASE("feature levels are the patches of the last three blocks, unless others are asked for") {
  ModelOptions options;
  options.features_only = true;
  const auto model = create_model("test_vit3", options);
  const FloatTensor x = zeros({1, 3, 160, 160});
  const auto levels = model->forward_intermediates({x.shape, x.data});
  REQUIRE(levels.size() == 3);
  CHECK(levels[0].shape == Shape{1, 96, 10, 10});
  CHECK(model->feature_info()[0].module == "blocks.6");
  CHECK(model->feature_info()[0].reduction == 16);
  options.out_indices = {0, -1};
  CHECK(create_model("test_vit3", options)->feature_info()[0].module == "blocks.0");
}

TEST_CASE("tokens and positions may lack the dimension of batches, and what is no part of the model is left out") {
  std::vector<TensorInfo> tensors{{"pre_logits.fc.weight", DType::float32, {64, 64}}};
  for (const Parameter& parameter : build_network("test_vit", BuildOptions()).graph.parameters)
    tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  ModelOptions options;
  options.img_size = {96, 128};
  const auto load = [&] {
    const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
    options.weights = &checkpoint;
    return forward(*create_model("test_vit", options), {1, 3, 96, 128});
  };
  CHECK(load() == Shape{1, 1000});
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "cls_token") tensor.shape = {64};
    if (tensor.name == "pos_embed") tensor.shape = {101, 64};
    if (tensor.name == "patch_embed.proj.weight") tensor.shape = {64, 3 * 16 * 16};
  }
  CHECK(load() == Shape{1, 1000});
  for (TensorInfo& tensor : tensors)
    if (tensor.name == "pos_embed") tensor.shape = {100, 64};  // of no square
  CHECK(code_of(load) == ErrorCode::state_dict_mismatch);
}

TEST_CASE("pools that a model cannot have are refused") {
  const auto build = [](std::string_view name, std::string pool) {
    return code_of([&] { build_network(name, {.global_pool = pool, .img_size = {}}); });
  };
  CHECK(build("test_vit", "catavgmax") == ErrorCode::invalid_argument);
  CHECK(build("test_vit2", "token") == ErrorCode::invalid_argument);  // has no class token
  CHECK(build("deit_tiny_distilled_patch16_224", "avg") == ErrorCode::invalid_argument);
  for (const char* pool : {"token", "avg", "max", "avgmax", "map", "prr", ""}) CHECK(!build("test_vit", pool));
}
