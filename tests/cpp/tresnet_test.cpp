// What a caller sees of TResNet beside its numbers: checkpoints of other channels, and of its authors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "models/families.h"
#include "parity/synthetic.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

constexpr std::string_view stem = "body.conv1.conv.weight";

std::vector<TensorInfo> tensors_of(std::string_view model) {
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network(model, {}).graph.parameters)
    if (parameter.init != Init::constant) tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  return tensors;
}

TensorInfo& find_stem(std::vector<TensorInfo>& tensors) { return *std::ranges::find(tensors, stem, &TensorInfo::name); }

std::unique_ptr<Model> create(std::vector<TensorInfo> tensors, int64_t in_chans, bool strict = true) {
  const parity::SyntheticCheckpoint checkpoint(std::move(tensors), 1, DType::float32);
  ModelOptions options;
  options.weights = &checkpoint;
  options.in_chans = in_chans;
  options.strict = strict;
  return create_model("tresnet_m", options);
}

// A checkpoint under other names, with other values.
class Disguised final : public StateDict {
 public:
  Disguised(const StateDict& original, bool authors) : original_(original), authors_(authors) {
    for (const TensorInfo& tensor : original.tensors()) {
      tensors_.push_back(tensor);
      if (authors) tensors_.back().name = authors_name(tensor.name);
    }
  }
  std::string_view format() const override { return original_.format(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  // The scales of norms alternate in sign; timm's are what its filter makes of the authors'.
  Tensor read(size_t index) const override {
    Tensor tensor = original_.read(index);
    if (!original_.tensors()[index].name.ends_with("bn.weight")) return tensor;
    std::vector<float> scale = to_float32(tensor);
    for (size_t i = 0; i < scale.size(); ++i) {
      if (i % 2 == 1) scale[i] = -scale[i];
      if (!authors_) scale[i] = std::abs(scale[i]) + 1e-5f;
    }
    std::memcpy(tensor.data.data(), scale.data(), tensor.data.size());
    return tensor;
  }

 private:
  // "….conv1.conv.weight" was "….conv1.0.weight", or "….conv1.0.0.weight" before blur pooling.
  static std::string authors_name(std::string name) {
    const bool blurred = (name.find("layer2.0.conv1.") != std::string::npos) ||
                         name.find("layer3.0.conv2.") != std::string::npos ||
                         name.find("layer4.0.conv2.") != std::string::npos;
    for (const auto& [module, index] : {std::pair{".conv.", ".0."}, std::pair{".bn.", ".1."}}) {
      const size_t found = name.find(module);
      if (found != std::string::npos)
        name.replace(found, std::strlen(module), (blurred ? ".0" : "") + std::string(index));
    }
    return name;
  }

  const StateDict& original_;
  bool authors_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

TEST_CASE("a space-to-depth stem of 3 channels is adapted to 1 and, as in timm, to no other number") {
  const std::vector<TensorInfo> tensors = tensors_of("tresnet_m");
  CHECK_NOTHROW(create(tensors, 3));
  CHECK_NOTHROW(create(tensors, 1));
  for (const int64_t in_chans : {2, 4, 8, 25}) {
    CAPTURE(in_chans);
    try {
      create(tensors, in_chans);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::state_dict_mismatch);
      REQUIRE(error.mismatched.size() == 1);
      CHECK(error.mismatched[0] == std::string(stem) + ": expected [64, " + std::to_string(16 * in_chans) +
                                       ", 3, 3], got float32 [64, 48, 3, 3], which cannot be adapted to " +
                                       std::to_string(in_chans) +
                                       " input channels, only to 1, as it takes pixels in squares (space to depth)");
    }
    const std::unique_ptr<Model> model = create(tensors, in_chans, false);
    CHECK(model->load_report().mismatched.size() == 1);
  }
}

TEST_CASE("a space-to-depth stem's weight that is not of 3 channels is refused, not adapted") {
  for (const auto& test : {std::pair{1, 3}, std::pair{1, 32}, std::pair{8, 3}, std::pair{8, 24}}) {
    const int64_t in_chans = test.first, channels = test.second;
    CAPTURE(in_chans);
    CAPTURE(channels);
    std::vector<TensorInfo> tensors = tensors_of("tresnet_m");
    find_stem(tensors).shape[1] = channels;
    CHECK_THROWS_WITH_AS(create(tensors, in_chans), doctest::Contains("body.conv1.conv.weight: expected"), Error);
  }
  std::vector<TensorInfo> own = tensors_of("tresnet_m");
  find_stem(own).shape[1] = 16 * 8;
  CHECK_NOTHROW(create(own, 8));
}

TEST_CASE("TResNet has feature maps at levels 1 to 4, and as in timm none at level 0") {
  ModelOptions options;
  options.features_only = true;
  const auto levels = create_model("tresnet_m", options)->feature_info();
  REQUIRE(levels.size() == 4);
  CHECK(levels[0].module == "body.layer1");
  CHECK(levels[0].reduction == 4);
  for (const int64_t index : {0, -5}) {
    options.out_indices = {1, index};
    CHECK_THROWS_WITH_AS(create_model("tresnet_m", options), doctest::Contains("no feature map at level"), Error);
  }
}

TEST_CASE("an image whose sides are not multiples of 4 is refused by TResNet") {
  const FloatTensor image = parity::images({1, 3, 64, 66});
  CHECK_THROWS_WITH_AS(create_model("tresnet_m", {})->forward({image.shape, image.data}),
                       doctest::Contains("multiples of 4"), Error);
}

TEST_CASE("the authors' checkpoints of TResNet, with in-place norms, give what timm's do") {
  const parity::SyntheticCheckpoint checkpoint(tensors_of("tresnet_m"), 1, DType::float32);
  const Disguised authors(checkpoint, true), timm(checkpoint, false);
  REQUIRE(authors.find("body.layer2.0.conv1.0.1.running_mean"));
  REQUIRE(authors.find("body.layer2.0.downsample.1.0.weight"));
  REQUIRE(authors.find("body.layer3.0.conv3.1.bias"));
  const FloatTensor image = parity::images({1, 3, 64, 64});
  const auto logits = [&](const StateDict& weights) {
    ModelOptions options;
    options.weights = &weights;
    return create_model("tresnet_m", options)->forward({image.shape, image.data}).data;
  };
  CHECK(logits(authors) == logits(timm));
  CHECK(logits(authors) != logits(checkpoint));
}
