// Shapes, and conversions between element types against the formats' definitions.
#include "wimm/tensor.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "wimm/error.h"

using namespace wimm;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// A half's value by the definition in IEEE 754: (-1)^s · 2^(e - 15) · 1.m, or 2^-14 · 0.m where e is 0.
double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

bool is_finite_half(uint16_t half) { return (half & 0x7c00) != 0x7c00; }

Tensor float_tensor(std::vector<float> values) {
  Tensor tensor{DType::float32, {static_cast<int64_t>(values.size())}, std::vector<std::byte>(values.size() * 4)};
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}

}  // namespace

TEST_CASE("what is not finite is told from what becomes so by narrowing [D10]") {
  const auto error_of = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::weights_nonfinite);
      CHECK(error.tensor() == "name");
      return std::string(error.what());
    }
    return std::string();
  };
  const Tensor bounds = float_tensor({65504, -65504, 1e-8f});
  CHECK(error_of([&] { narrow(bounds, DType::float16, "name"); }).empty());
  CHECK(error_of([&] { check_finite(bounds, "name"); }).empty());
  const Tensor large = float_tensor({1, 65520});
  CHECK(error_of([&] { narrow(large, DType::float16, "name"); }).starts_with("element 1 of \"name\""));
  CHECK(error_of([&] { narrow(large, DType::bfloat16, "name"); }).empty());
  for (const float value : {infinity, -infinity, std::nanf("")}) {
    const Tensor tensor = float_tensor({1, 2, value});
    CHECK(error_of([&] { narrow(tensor, DType::float16, "name"); }).empty());
    for (const DType dtype : {DType::float32, DType::float16, DType::bfloat16}) {
      CHECK(error_of([&] { check_finite(cast(tensor, dtype), "name"); }).starts_with("element 2 of \"name\""));
    }
  }

  Tensor wide{DType::float64, {2}, std::vector<std::byte>(16)};
  const auto set = [&](double value) { std::memcpy(&wide.data[8], &value, sizeof(value)); };
  set(1e300);
  CHECK(error_of([&] { check_finite(wide, "name"); }).empty());
  CHECK(error_of([&] { to_float32(wide, "name"); }).starts_with("element 1 of \"name\""));
  set(infinity);
  CHECK(error_of([&] { check_finite(wide, "name"); }).starts_with("element 1 of \"name\""));
  CHECK(to_float32(wide, "name")[1] == infinity);
  CHECK(
      error_of([&] { check_finite({DType::int64, {1}, std::vector<std::byte>(8, std::byte{0xff})}, "name"); }).empty());
}

TEST_CASE("dtypes have PyTorch's names and sizes") {
  CHECK(name_of(DType::float32) == "float32");
  CHECK(name_of(DType::bfloat16) == "bfloat16");
  CHECK(name_of(DType::boolean) == "bool");
  CHECK(size_of(DType::float16) == 2);
  CHECK(size_of(DType::int64) == 8);
  CHECK(size_of(DType::boolean) == 1);
  CHECK(is_floating_point(DType::float64));
  CHECK_FALSE(is_floating_point(DType::int8));
}

TEST_CASE("element_count multiplies, and refuses overflow") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({64, 3, 7, 7}) == 9408);
  CHECK(element_count({1ll << 40, 0, 1ll << 40}) == 0);
  CHECK(element_count({std::numeric_limits<int64_t>::max()}) == std::numeric_limits<int64_t>::max());
  CHECK_THROWS_AS(element_count({1ll << 32, 1ll << 31}), Error);
  CHECK(to_string(Shape{64, 3, 7, 7}) == "[64, 3, 7, 7]");
  CHECK(to_string(Shape{}) == "[]");
}

TEST_CASE("every finite half converts to its value and back") {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    const auto half = static_cast<uint16_t>(bits);
    if (!is_finite_half(half)) continue;
    REQUIRE(half_to_float(half) == half_value(half));
    REQUIRE(float_to_half(half_to_float(half)) == half);
  }
}

TEST_CASE("floats between two halves go to the nearest, ties to the even one") {
  for (uint16_t half = 0; is_finite_half(half + 1); half++) {
    const auto low = static_cast<float>(half_value(half)), high = static_cast<float>(half_value(half + 1));
    const float middle = (low + high) / 2;
    REQUIRE(float_to_half(middle) == (half & 1 ? half + 1 : half));
    REQUIRE(float_to_half(std::nextafter(middle, 0.f)) == half);
    REQUIRE(float_to_half(std::nextafter(middle, infinity)) == half + 1);
    REQUIRE(float_to_half(-std::nextafter(middle, infinity)) == (0x8000 | (half + 1)));
  }
}

TEST_CASE("halves overflow to infinity and keep NaN") {
  CHECK(float_to_half(65519.f) == 0x7bff);
  CHECK(float_to_half(65520.f) == 0x7c00);
  CHECK(float_to_half(-1e30f) == 0xfc00);
  CHECK(float_to_half(infinity) == 0x7c00);
  CHECK(half_to_float(0xfc00) == -infinity);
  CHECK(std::isnan(half_to_float(0x7e01)));
  CHECK(std::isnan(half_to_float(float_to_half(std::bit_cast<float>(0x7f800001)))));
}

TEST_CASE("bfloat16 is the upper half of a float, rounded to nearest even") {
  CHECK(bfloat16_to_float(0x3f80) == 1.f);
  CHECK(float_to_bfloat16(1.f) == 0x3f80);
  CHECK(float_to_bfloat16(std::bit_cast<float>(0x3f808000)) == 0x3f80);
  CHECK(float_to_bfloat16(std::bit_cast<float>(0x3f818000)) == 0x3f82);
  CHECK(float_to_bfloat16(std::bit_cast<float>(0x3f808001)) == 0x3f81);
  CHECK(float_to_bfloat16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(std::isnan(bfloat16_to_float(float_to_bfloat16(std::bit_cast<float>(0xff800001)))));
}

TEST_CASE("a float32 tensor survives a cast to a wider type, and rounds to a narrower one") {
  const Tensor tensor = float_tensor({0.f, -1.5f, 0.1f, 70000.f});
  CHECK(to_float32(cast(tensor, DType::float32)) == std::vector<float>{0.f, -1.5f, 0.1f, 70000.f});
  CHECK(to_float32(cast(tensor, DType::float64)) == std::vector<float>{0.f, -1.5f, 0.1f, 70000.f});
  CHECK(to_float32(cast(tensor, DType::float16)) == std::vector<float>{0.f, -1.5f, 0x1.998p-4f, infinity});
  CHECK(to_float32(cast(tensor, DType::bfloat16)) == std::vector<float>{0.f, -1.5f, 0x1.9ap-4f, 70144.f});
  CHECK(cast(tensor, DType::float16).data.size() == 8);
}

TEST_CASE("integers are no floats, and the error names the tensor") {
  const Tensor tensor{DType::int64, {1}, std::vector<std::byte>(8)};
  try {
    to_float32(tensor, "bn1.num_batches_tracked");
    FAIL("an integer tensor was converted");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::state_dict_mismatch);
    CHECK(error.tensor() == "bn1.num_batches_tracked");
    CHECK(std::string(error.what()) ==
          "Tensor \"bn1.num_batches_tracked\" has dtype int64; a floating-point type is wanted");
  }
  CHECK_THROWS_AS(cast(tensor, DType::float32), Error);
}
