// Tables of rotary embeddings.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/kernel.h"

namespace wimm {
namespace {

using Angles = std::vector<double>;  // of a token's pairs of channels

class RotaryTableKernel final : public Kernel {
 public:
  RotaryTableKernel(const RotaryTable& op, ParameterReader& reader) : op_(op) {
    if (op.frequencies != no_id) frequencies_ = reader.read(op.frequencies);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape&, ThreadPool&) override {
    const Size2d size{inputs[0][1], inputs[0][2]};
    table_.clear();
    for (int64_t set = 0; set < op_.sets; ++set)
      for (int64_t y = 0; y < size[0]; ++y)
        for (int64_t x = 0; x < size[1]; ++x) {
          Size2d at{y, x}, in = size, reference = op_.reference;
          if (op_.columns_first)
            for (Size2d* pair : {&at, &in, &reference}) std::swap((*pair)[0], (*pair)[1]);
          append(op_.kind == RotaryTable::Kind::mixed ? mixed_angles(set, at) : grid_angles(at, in, reference));
        }
    return 0;
  }

  void run(std::span<const float* const>, float* output, std::byte*, ThreadPool&) override {
    std::ranges::copy(table_, output);
  }

  size_t weight_bytes() const override { return (table_.size() + frequencies_.size()) * sizeof(float); }

 private:
  // Half of them of each coordinate.
  Angles grid_angles(Size2d at, Size2d size, Size2d reference) const {
    Angles angles;
    for (int axis : {0, 1}) {
      const auto side = static_cast<double>(size[axis]);
      double place = static_cast<double>(at[axis]) + op_.offset;
      if (op_.kind == RotaryTable::Kind::centered)
        place = 2 * std::numbers::pi * (2 * (place + 0.5) / side - 1);
      else if (reference[axis] > 0)
        place = place / side * static_cast<double>(reference[axis]);
      const int64_t count = op_.depth / 4;
      for (int64_t i = 0; i < count; ++i)
        angles.push_back(place * std::pow(op_.temperature, -static_cast<double>(i) / static_cast<double>(count)));
    }
    return angles;
  }

  Angles mixed_angles(int64_t set, Size2d at) const {
    const int64_t pairs = op_.depth / 2;
    const float *first = &frequencies_[set * pairs], *second = first + op_.sets * pairs;
    Angles angles;
    for (int64_t i = 0; i < pairs; ++i)
      angles.push_back(static_cast<double>(at[0]) * first[i] + static_cast<double>(at[1]) * second[i]);
    return angles;
  }

  void append(const Angles& angles) {
    const auto pairs = static_cast<int64_t>(angles.size());
    const auto channel = [&](int64_t c) { return angles[op_.halves ? c % pairs : c / 2]; };
    for (int64_t c = 0; c < op_.depth; ++c) table_.push_back(static_cast<float>(std::sin(channel(c))));
    for (int64_t c = 0; c < op_.depth; ++c) table_.push_back(static_cast<float>(std::cos(channel(c))));
  }

  RotaryTable op_;
  std::vector<float> frequencies_, table_;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const RotaryTable& op, ParameterReader& reader) {
  return std::make_unique<RotaryTableKernel>(op, reader);
}

}  // namespace wimm
