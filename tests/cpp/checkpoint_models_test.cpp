// Checkpoints in the layouts of other projects give timm's numbers (parity/make_filter_goldens.py).
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <rapidjson/istreamwrapper.h>

#include <fstream>
#include <string>

#include "parity/goldens.h"
#include "parity/synthetic.h"
#include "wimm/model.h"

using namespace wimm;

TEST_CASE("models load the checkpoints of other projects") {
  std::ifstream file(WIMM_SOURCE_DIR "/tests/parity/filter_goldens.json");
  rapidjson::IStreamWrapper stream(file);
  rapidjson::Document cases;
  cases.ParseStream(stream);
  REQUIRE(cases.IsArray());
  REQUIRE(cases.Size() >= 12);
  for (const auto& golden : cases.GetArray()) {
    const std::string title = std::string(golden["layout"].GetString()) + " for " + golden["model"].GetString();
    INFO(title);
    std::vector<TensorInfo> tensors;
    for (const auto& tensor : golden["tensors"].GetArray())
      tensors.push_back({tensor[0].GetString(), DType::float32, parity::read_shape(tensor[1])});
    const parity::SyntheticCheckpoint checkpoint(tensors, golden["gain"].GetDouble(), DType::float32);
    ModelOptions options;
    options.weights = &checkpoint;
    options.num_classes = golden.HasMember("num_classes") ? golden["num_classes"].GetInt64() : 0;
    if (!golden.HasMember("num_classes"))
      for (const TensorInfo& tensor : tensors)
        if (tensor.name == "head.weight" || tensor.name == "beit3.head.weight") options.num_classes = tensor.shape[0];
    if (golden.HasMember("in_chans")) options.in_chans = golden["in_chans"].GetInt64();
    const Shape input = parity::read_shape(golden["input"]);
    if (golden.HasMember("img_size")) options.img_size = {input[2], input[3]};
    const auto model = create_model(golden["model"].GetString(), options);
    const FloatTensor x = parity::images(input);
    CHECK(parity::difference(model->forward({x.shape, x.data}), parity::read_tensor(golden["logits"])) < 1e-4);
  }
}
