// adapt_input_conv against timm's own.
#include <doctest/doctest.h>

#include <cstring>

#include "adapt_goldens.h"
#include "weights/crc32.h"
#include "wimm/error.h"
#include "wimm/weights.h"

using namespace wimm;

namespace {

// Of tests/parity/make_adapt_goldens.py.
Tensor generate(const Shape& shape, DType dtype) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int64_t>(i * 7919 % 257) - 128) / 97.0f;
  }
  Tensor tensor{DType::float32, shape, std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return cast(tensor, dtype);
}

ErrorCode error_of(const Tensor& weight, int64_t in_chans) {
  try {
    adapt_input_conv(weight, in_chans);
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no error");
  return {};
}

}  // namespace

TEST_CASE("weights are adapted to other input channels bit for bit as timm does [D08]") {
  for (const AdaptGolden& golden : adapt_goldens) {
    const Shape shape(golden.shape.begin(), golden.shape.end());
    CAPTURE(to_string(shape));
    CAPTURE(std::string(name_of(golden.dtype)));
    CAPTURE(golden.in_chans);
    const Tensor adapted = adapt_input_conv(generate(shape, golden.dtype), golden.in_chans);
    CHECK(adapted.dtype == golden.dtype);
    CHECK(adapted.shape == Shape{shape[0], golden.out_in_chans, shape[2], shape[3]});
    CHECK(crc32_of(adapted.data) == golden.crc32);
  }
}

TEST_CASE("weights that cannot be adapted are refused") {
  const Tensor weight = generate({4, 3, 2, 2}, DType::float32);
  CHECK(error_of(weight, 0) == ErrorCode::invalid_argument);
  CHECK(error_of(weight, -1) == ErrorCode::invalid_argument);
  CHECK(error_of(weight, int64_t{1} << 60) == ErrorCode::limit_exceeded);
  CHECK(error_of({DType::float32, {4, 3, 0, 2}, {}}, 1) == ErrorCode::state_dict_mismatch);
  CHECK(error_of(generate({4, 3}, DType::float32), 1) == ErrorCode::state_dict_mismatch);
  CHECK(error_of(generate({4, 4, 2, 2}, DType::float32), 1) == ErrorCode::state_dict_mismatch);
  CHECK(error_of(generate({4, 12, 2, 2}, DType::float32), 5) == ErrorCode::state_dict_mismatch);
  const Tensor integers{DType::int32, {4, 3, 2, 2}, std::vector<std::byte>(4 * 3 * 2 * 2 * 4)};
  CHECK(error_of(integers, 1) == ErrorCode::state_dict_mismatch);
}
