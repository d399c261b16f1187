// What a caller sees of DLA beside its numbers, which are tests/parity's matter.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "models/families.h"
#include "parity/synthetic.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

// dla46_c from a checkpoint that has one tensor more than the model.
std::unique_ptr<Model> create_beside(const std::string& name) {
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network("dla46_c", {}).graph.parameters)
    tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  tensors.push_back({name, DType::float32, {128, 64, 1, 1}});
  const parity::SyntheticCheckpoint checkpoint(tensors, 1, DType::float32);
  ModelOptions options;
  options.weights = &checkpoint;
  return create_model("dla46_c", options);
}

}  // namespace

TEST_CASE("a checkpoint may have the projections that DLA's authors never use, and nothing else") {
  CHECK_NOTHROW(create_beside("level4.project.0.weight"));
  CHECK_THROWS_WITH_AS(create_beside("level4.projection.0.weight"), doctest::Contains("level4.projection"), Error);
}

TEST_CASE("DLA's feature maps are those of levels 1 to 5, as in timm, unless others are asked for") {
  ModelOptions options;
  options.features_only = true;
  const auto levels = create_model("dla46_c", options)->feature_info();
  CHECK(levels.size() == 5);
  CHECK(levels[0].module == "level1");
  options.out_indices = {0};
  CHECK(create_model("dla46_c", options)->feature_info()[0].module == "level0");
}
