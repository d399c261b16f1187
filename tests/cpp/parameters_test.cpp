// Every architecture has timm's parameters: their names, shapes and order.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "models/families.h"
#include "parity/goldens.h"
#include "parity/synthetic.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

std::vector<TensorInfo> tensors_of_test_resnet() {
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network("test_resnet", BuildOptions()).graph.parameters)
    tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  return tensors;
}

}  // namespace

TEST_CASE("every architecture has timm's parameters, in timm's order") {
  for (const parity::Golden& golden : parity::read_goldens()) {
    INFO(parity::title(golden));
    CHECK(parity::digest(parity::checkpoint_tensors(golden)) == golden.digest);
  }
}

TEST_CASE("every architecture has a golden") {
  std::set<std::string, std::less<>> names;
  for (const parity::Golden& golden : parity::read_goldens()) names.insert(golden.model);
  for (const std::string_view variant : list_variants()) {
    INFO(variant);
    CHECK(names.contains(variant));
  }
}

TEST_CASE("what create_model loads, check_model accepts without reading it") {
  struct Unread : StateDict {
    std::vector<TensorInfo> infos;
    std::string_view format() const override { return "unread"; }
    const std::vector<TensorInfo>& tensors() const override { return infos; }
    Tensor read(size_t) const override { throw Error(ErrorCode::format_truncated, "the data is not there"); }
  };
  for (const parity::Golden& golden : parity::read_goldens()) {
    INFO(parity::title(golden));
    Unread weights;
    weights.infos = parity::checkpoint_tensors(golden);
    ModelOptions options;
    options.in_chans = golden.in_chans;
    options.num_classes = golden.num_classes;
    options.global_pool = golden.global_pool;
    options.img_size = golden.img_size;
    options.weights = &weights;
    CHECK(check_model(golden.model, options) > 0);
    weights.infos.pop_back();
    if (golden.num_classes > 0) CHECK_THROWS_AS(check_model(golden.model, options), Error);
  }
}

TEST_CASE("weights that are not finite are loaded, or an error where that is asked for") {
  struct Damaged : parity::SyntheticCheckpoint {
    using SyntheticCheckpoint::SyntheticCheckpoint;
    Tensor read(size_t index) const override {
      Tensor tensor = SyntheticCheckpoint::read(index);
      const float value = std::numeric_limits<float>::infinity();
      if (tensors()[index].name == "fc.weight") std::memcpy(&tensor.data[3 * sizeof(float)], &value, sizeof(value));
      return tensor;
    }
  };
  const Damaged checkpoint(tensors_of_test_resnet(), 2, DType::float32);
  ModelOptions options;
  options.weights = &checkpoint;
  const FloatTensor input = parity::images({1, 3, 32, 32});
  CHECK_FALSE(std::isfinite(create_model("test_resnet", options)->forward({input.shape, input.data}).data[0]));
  options.check_finite = true;
  try {
    create_model("test_resnet", options);
    FAIL("it was created");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::weights_nonfinite);
    CHECK(error.tensor() == "fc.weight");
    CHECK(std::string(error.what()).starts_with("element 3 of \"fc.weight\""));
  }
}

TEST_CASE("the weight of a linear layer may stand for that of a convolution over its whole input") {
  std::vector<TensorInfo> tensors = tensors_of_test_resnet();
  const FloatTensor input = parity::images({1, 3, 32, 32});
  const auto logits = [&] {
    const parity::SyntheticCheckpoint checkpoint(tensors, 2, DType::float32);
    ModelOptions options;
    options.weights = &checkpoint;
    return create_model("test_resnet", options)->forward({input.shape, input.data}).data;
  };
  const std::vector<float> expected = logits();
  for (TensorInfo& tensor : tensors) {
    if (tensor.shape.size() == 4) tensor.shape = {tensor.shape[0], element_count(tensor.shape) / tensor.shape[0]};
  }
  CHECK(logits() == expected);
}

TEST_CASE("a model is loaded from a file that arrives, whatever the order of its tensors") {
  struct Arriving : parity::SyntheticCheckpoint {
    using SyntheticCheckpoint::SyntheticCheckpoint;
    uint64_t dropped = 0, received = 0;
    Tensor read(size_t index) const override {
      CHECK(begin(index) >= dropped);
      CHECK(end(index) <= received);
      return SyntheticCheckpoint::read(index);
    }
    uint64_t begin(size_t index) const {
      uint64_t bytes = 0;
      for (const TensorInfo& tensor : std::span(tensors()).first(index))
        bytes += static_cast<uint64_t>(element_count(tensor.shape)) * size_of(tensor.dtype);
      return bytes;
    }
    uint64_t end(size_t index) const override { return begin(index + 1); }
  };
  const FloatTensor input = parity::images({1, 3, 32, 32});
  std::vector<TensorInfo> tensors = tensors_of_test_resnet();
  std::vector<float> expected;
  for (const bool reversed : {false, true}) {
    if (reversed) std::ranges::reverse(tensors);
    Arriving checkpoint(tensors, 2, DType::float32);
    ModelOptions options;
    options.weights = &checkpoint;
    options.image_size = {32, 32};
    ModelLoad load("test_resnet", options);
    int stops = 0;
    uint64_t most = 0;  // bytes at once
    constexpr double unlimited = std::numeric_limits<double>::infinity();
    while (!load.advance(unlimited, checkpoint.received)) {
      const auto [begin, end] = load.wanted();
      CHECK(begin >= checkpoint.dropped);
      CHECK(end > checkpoint.received);
      checkpoint.dropped = begin;
      checkpoint.received = end;
      most = std::max(most, end - begin);
      ++stops;
      if (reversed)
        while (!load.warm_up(0)) continue;
    }
    CHECK(load.wanted().end == 0);
    CHECK(stops > 5);
    CHECK(checkpoint.received <= checkpoint.end(tensors.size() - 1));
    CHECK(most < checkpoint.received / 2);
    const std::unique_ptr<Model> model = load.take();
    CHECK((model->arena_bytes() > 0) == reversed);
    CHECK_THROWS_AS(model->results(), Error);
    const std::vector<float> logits = model->forward({input.shape, input.data}).data;
    if (reversed) CHECK(logits == expected);
    expected = logits;
  }
}

TEST_CASE("a load goes on where layers cannot be run before it ends") {
  ModelOptions other_images, large_images;
  other_images.image_size = {7, 7};
  large_images.image_size = {1 << 20, 1 << 20};
  ModelLoad load("test_vit", other_images), large("test_resnet", large_images);
  CHECK(load.warm_up(0));  // none is there
  while (!load.advance(0)) CHECK(load.warm_up(0));
  while (!large.advance(0)) CHECK(large.warm_up(0));
  CHECK(large.take()->arena_bytes() == 0);
  const FloatTensor input = parity::images({1, 3, 160, 160});
  CHECK(load.take()->forward({input.shape, input.data}).data ==
        create_model("test_vit")->forward({input.shape, input.data}).data);
}

TEST_CASE("a load that failed at a layer goes on with that layer") {
  struct Failing : parity::SyntheticCheckpoint {
    using SyntheticCheckpoint::SyntheticCheckpoint;
    mutable bool fails = true;
    Tensor read(size_t index) const override {
      if (tensors()[index].name == "layer2.0.conv1.weight" && std::exchange(fails, false)) throw std::bad_alloc();
      return SyntheticCheckpoint::read(index);
    }
  };
  constexpr double unlimited = std::numeric_limits<double>::infinity();
  const FloatTensor input = parity::images({1, 3, 32, 32});
  const Failing checkpoint(tensors_of_test_resnet(), 2, DType::float32);
  ModelOptions options;
  options.weights = &checkpoint;
  ModelLoad load("test_resnet", options);
  CHECK_THROWS_AS(load.advance(unlimited), std::bad_alloc);
  CHECK_THROWS_AS(load.take(), Error);
  CHECK(load.advance(unlimited));
  CHECK(load.take()->forward({input.shape, input.data}).data ==
        create_model("test_resnet", options)->forward({input.shape, input.data}).data);
}
