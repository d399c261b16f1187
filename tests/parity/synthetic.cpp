// Synthetic checkpoints and inputs.
#include "parity/synthetic.h"

#include <cmath>
#include <span>
#include <string>
#include <utility>

namespace wimm::parity {
namespace {

constexpr bool ends_with_leaf(std::string_view name, std::string_view leaf) {
  return name.substr(name.rfind('.') + 1) == leaf;
}

// What u in [-1, 1) becomes: offset + scale · u.
struct Range {
  double offset, scale;
};

Range range_of(std::string_view name, const Shape& shape, double gain) {
  if (ends_with_leaf(name, "running_var")) return {1.0, 0.25};
  if (ends_with_leaf(name, "running_mean")) return {0.0, 0.1};
  if (shape.size() >= 2) {
    const auto fan_in = static_cast<double>(element_count(shape) / shape[0]);
    return {0.0, std::sqrt(3 * gain / fan_in)};
  }
  return name.ends_with("weight") ? Range{0.9, 0.2} : Range{0.0, 0.1};
}

std::vector<float> fill(std::string_view name, int64_t count, Range range) {
  const uint64_t hash = fnv1a(name);
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const double u = static_cast<double>(random_bits(hash, i) >> 40) * 0x1p-23 - 1;
    values[i] = static_cast<float>(range.offset + range.scale * u);
  }
  return values;
}

}  // namespace

uint64_t fnv1a(std::string_view text) {
  uint64_t value = 0xCBF29CE484222325;
  for (const char c : text) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return value;
}

uint64_t random_bits(uint64_t name_hash, uint64_t index) {
  uint64_t z = name_hash + (index + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

Tensor parameter(std::string_view name, const Shape& shape, double gain) {
  const int64_t count = element_count(shape);
  if (ends_with_leaf(name, "num_batches_tracked")) {
    return {DType::int64, shape, std::vector<std::byte>(static_cast<size_t>(count) * sizeof(int64_t))};
  }
  const std::vector<float> values = fill(name, count, range_of(name, shape, gain));
  const auto bytes = std::as_bytes(std::span(values));
  return {DType::float32, shape, {bytes.begin(), bytes.end()}};
}

FloatTensor images(const Shape& shape) { return {shape, fill("input", element_count(shape), {0.0, 1.7})}; }

SyntheticCheckpoint::SyntheticCheckpoint(std::vector<TensorInfo> tensors, double gain, DType dtype)
    : tensors_(std::move(tensors)), gain_(gain) {
  for (TensorInfo& info : tensors_) {
    if (is_floating_point(info.dtype)) info.dtype = dtype;
  }
}

Tensor SyntheticCheckpoint::read(size_t index) const {
  const TensorInfo& info = tensors_[index];
  Tensor tensor = parameter(info.name, info.shape, gain_);
  return tensor.dtype == info.dtype ? tensor : cast(tensor, info.dtype);
}

}  // namespace wimm::parity
