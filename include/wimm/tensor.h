// Element types, shapes, and tensors that own their data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wimm {

// Element types that weight files hold. Compute is in float32.
enum class DType : uint8_t {
  float32,
  float16,
  bfloat16,
  float64,
  int64,
  int32,
  int16,
  int8,
  uint64,
  uint32,
  uint16,
  uint8,
  boolean
};

// Bytes of one element.
size_t size_of(DType dtype);
// "float32", "bool" and so on: PyTorch's names.
std::string_view name_of(DType dtype);
bool is_floating_point(DType dtype);

// Dimensions, outermost first. Never negative.
using Shape = std::vector<int64_t>;

// Product of the dimensions; throws limit_exceeded where it does not fit in 63 bits.
int64_t element_count(const Shape& shape);
// "[64, 3, 7, 7]"
std::string to_string(const Shape& shape);

// A contiguous tensor of any type, row-major (last dimension fastest), owning its bytes.
struct Tensor {
  DType dtype = DType::float32;
  Shape shape;
  std::vector<std::byte> data;
};

// A contiguous float32 tensor that owns its elements: what models take and give. Images are [N, C, H, W].
struct FloatTensor {
  Shape shape;
  std::vector<float> data;
};

// A view of a contiguous float32 tensor.
struct FloatView {
  Shape shape;
  std::span<const float> data;
};

// IEEE 754 binary16 and bfloat16 to and from float32, rounding to nearest even.
float half_to_float(uint16_t half);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t value);
uint16_t float_to_bfloat16(float value);

// Rounds numbers to 8 bits, x ≈ scale · q with |q| ≤ 127, and returns the scale: 0 for nothing but zeros.
float round_to_int8(std::span<const float> x, std::span<int8_t> q);

// The elements of a floating-point tensor as float32. Errors, naming the tensor: state_dict_mismatch for any other
// type, weights_nonfinite for an element beyond float32.
std::vector<float> to_float32(const Tensor& tensor, std::string_view name = {});
// A float32 tensor cast to `dtype` (a floating-point type); float32 values beyond float16's range become infinite.
Tensor cast(const Tensor& tensor, DType dtype);
// The same, but throws weights_nonfinite, naming the tensor and the element, where a finite value would become
// infinite.
Tensor narrow(const Tensor& tensor, DType dtype, std::string_view name = {});
// Throws weights_nonfinite, naming the tensor and the element, for one that is NaN or infinite.
void check_finite(const Tensor& tensor, std::string_view name);

}  // namespace wimm
