// What a ResNet refuses. That it computes what timm computes is tests/parity's matter.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "models/families.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

std::optional<ErrorCode> code_of(auto work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a global pool that timm does not know is refused") {
  CHECK(code_of([] { build_network("resnet18", {.global_pool = "median", .img_size = {}}); }) ==
        ErrorCode::invalid_argument);
}

TEST_CASE("a classifier without a global pool is refused") {
  CHECK(code_of([] { build_network("resnet18", {.global_pool = "", .img_size = {}}); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { build_network("resnet18", {.num_classes = 0, .global_pool = "", .img_size = {}}); }) ==
        std::nullopt);
}

TEST_CASE("a size at which branches do not meet is refused, as in timm, and the model goes on working") {
  ModelOptions options;
  options.in_chans = 1;
  options.num_classes = 3;
  const auto model = create_model("resnetaa34d", options);
  const std::vector<float> pixels(97 * 75);
  CHECK(code_of([&] { model->forward({{1, 1, 97, 75}, pixels}); }) == ErrorCode::input_shape);
  CHECK(model->forward({{1, 1, 64, 64}, std::span(pixels).first(64 * 64)}).shape == Shape{1, 3});
}
