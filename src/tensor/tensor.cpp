// Element types and their conversions.
#include "wimm/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "wimm/error.h"

namespace wimm {
namespace {

struct DTypeTraits {
  std::string_view name;
  size_t size;
};

// In the order of DType.
constexpr std::array<DTypeTraits, 13> dtype_traits{{
    {"float32", 4},
    {"float16", 2},
    {"bfloat16", 2},
    {"float64", 8},
    {"int64", 8},
    {"int32", 4},
    {"int16", 2},
    {"int8", 1},
    {"uint64", 8},
    {"uint32", 4},
    {"uint16", 2},
    {"uint8", 1},
    {"bool", 1},
}};
static_assert(dtype_traits.size() == static_cast<size_t>(DType::boolean) + 1);

// `value` >> `bits`, rounded to nearest, ties to even.
uint32_t shift_right_rounded(uint32_t value, int bits) {
  const uint32_t quotient = value >> bits;
  const uint32_t remainder = value & ((uint32_t{1} << bits) - 1);
  const uint32_t half = uint32_t{1} << (bits - 1);
  return quotient + (remainder > half || (remainder == half && (quotient & 1)) ? 1 : 0);
}

template <class From, class To, class Convert>
void convert(std::span<const std::byte> from, std::span<std::byte> to, Convert&& element) {
  for (size_t i = 0; i < from.size() / sizeof(From); i++) {
    From source;
    std::memcpy(&source, from.data() + i * sizeof(From), sizeof(From));
    const To target = element(source);
    std::memcpy(to.data() + i * sizeof(To), &target, sizeof(To));
  }
}

}  // namespace

size_t size_of(DType dtype) { return dtype_traits[static_cast<size_t>(dtype)].size; }

std::string_view name_of(DType dtype) { return dtype_traits[static_cast<size_t>(dtype)].name; }

bool is_floating_point(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16 || dtype == DType::float64;
}

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension == 0) return 0;
  }
  for (const int64_t dimension : shape) {
    if (count > std::numeric_limits<int64_t>::max() / dimension) {
      throw Error(ErrorCode::limit_exceeded, "A tensor of shape " + to_string(shape) + " has 2^63 elements or more");
    }
    count *= dimension;
  }
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

// A half is sign, 5 bits of exponent with bias 15, 10 of mantissa; a float is sign, 8 with bias 127, 23.
float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t float_exponent = exponent == 0x1f ? 0xff : exponent + 127 - 15;
  return std::bit_cast<float>(sign | float_exponent << 23 | mantissa << 13);
}

uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  const uint32_t mantissa = magnitude & 0x7fffff;
  uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | mantissa >> 13;  // NaN, kept quiet
  } else if (exponent > 15) {
    half = 0x7c00;
  } else if (exponent >= -14) {
    // Rounding up may carry into the exponent, up to infinity, as it should.
    half = shift_right_rounded(magnitude - (uint32_t{127 - 15} << 23), 13);
  } else if (exponent >= -25) {
    half = shift_right_rounded(mantissa | 0x800000, -1 - exponent);
  }
  return static_cast<uint16_t>(sign | half);
}

float bfloat16_to_float(uint16_t value) { return std::bit_cast<float>(uint32_t{value} << 16); }

float round_to_int8(std::span<const float> x, std::span<int8_t> q) {
  constexpr float levels = 127;
  float largest = 0;
  for (const float value : x) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < x.size(); ++i) {
    const float level = std::nearbyint(x[i] / largest * levels);
    q[i] = std::isnan(level) ? int8_t{0} : static_cast<int8_t>(level);  // 0 / 0, ∞ / ∞, or NaN itself
  }
  return largest / levels;
}

uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>(shift_right_rounded(bits, 16));
}

namespace {

std::string element_of(size_t index, std::string_view name) {
  return "element " + std::to_string(index) + " of " + (name.empty() ? "a tensor" : quote(name));
}

Error beyond(DType dtype, size_t index, std::string_view name) {
  return Error(ErrorCode::weights_nonfinite,
               element_of(index, name) + " is beyond " + std::string(name_of(dtype)) + "; use a wider type")
      .in_tensor(name);
}

template <class T>
T element(const Tensor& tensor, size_t index) {
  T value;
  std::memcpy(&value, &tensor.data[index * sizeof(T)], sizeof(T));
  return value;
}

// Of an element of a floating-point tensor.
bool is_finite(const Tensor& tensor, size_t index) {
  switch (tensor.dtype) {
    case DType::float16:
      return std::isfinite(half_to_float(element<uint16_t>(tensor, index)));
    case DType::bfloat16:
      return std::isfinite(bfloat16_to_float(element<uint16_t>(tensor, index)));
    case DType::float64:
      return std::isfinite(element<double>(tensor, index));
    default:
      return std::isfinite(element<float>(tensor, index));
  }
}

}  // namespace

std::vector<float> to_float32(const Tensor& tensor, std::string_view name) {
  if (tensor.dtype == DType::float32) {  // most weights: copied, not filled with zeros before
    const auto* begin = reinterpret_cast<const float*>(tensor.data.data());
    return {begin, begin + tensor.data.size() / sizeof(float)};
  }
  std::vector<float> values(tensor.data.size() / size_of(tensor.dtype));
  const auto out = std::as_writable_bytes(std::span(values));
  switch (tensor.dtype) {
    case DType::float16:
      convert<uint16_t, float>(tensor.data, out, half_to_float);
      break;
    case DType::bfloat16:
      convert<uint16_t, float>(tensor.data, out, bfloat16_to_float);
      break;
    case DType::float64:
      convert<double, float>(tensor.data, out, [](double value) { return static_cast<float>(value); });
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::isinf(values[i]) && is_finite(tensor, i)) throw beyond(DType::float32, i, name);
      }
      break;
    default:
      throw Error(ErrorCode::state_dict_mismatch, (name.empty() ? "A tensor" : "Tensor " + quote(name)) +
                                                      " has dtype " + std::string(name_of(tensor.dtype)) +
                                                      "; a floating-point type is wanted")
          .in_tensor(name);
  }
  return values;
}

Tensor cast(const Tensor& tensor, DType dtype) {
  if (tensor.dtype != DType::float32 || !is_floating_point(dtype)) {
    throw Error(ErrorCode::invalid_argument, "Cannot cast " + std::string(name_of(tensor.dtype)) + " to " +
                                                 std::string(name_of(dtype)) +
                                                 ": float32 is cast to floating-point types alone");
  }
  Tensor result{dtype, tensor.shape, std::vector<std::byte>(tensor.data.size() / sizeof(float) * size_of(dtype))};
  switch (dtype) {
    case DType::float16:
      convert<float, uint16_t>(tensor.data, result.data, float_to_half);
      break;
    case DType::bfloat16:
      convert<float, uint16_t>(tensor.data, result.data, float_to_bfloat16);
      break;
    case DType::float64:
      convert<float, double>(tensor.data, result.data, [](float value) { return static_cast<double>(value); });
      break;
    default:
      result.data = tensor.data;
  }
  return result;
}

Tensor narrow(const Tensor& tensor, DType dtype, std::string_view name) {
  Tensor result = cast(tensor, dtype);
  for (size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) {
    if (!is_finite(result, i) && is_finite(tensor, i)) throw beyond(dtype, i, name);
  }
  return result;
}

void check_finite(const Tensor& tensor, std::string_view name) {
  if (!is_floating_point(tensor.dtype)) return;
  for (size_t i = 0; i < tensor.data.size() / size_of(tensor.dtype); ++i) {
    if (is_finite(tensor, i)) continue;
    throw Error(ErrorCode::weights_nonfinite, element_of(i, name) + " is not finite; the weights are damaged")
        .in_tensor(name);
  }
}

}  // namespace wimm
