// Synthetic checkpoints and inputs, the same bits as synthetic.py, which defines them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "wimm/tensor.h"
#include "wimm/weights.h"

namespace wimm::parity {

uint64_t fnv1a(std::string_view text);
// Bits of element `index` of a tensor whose name has this hash.
uint64_t random_bits(uint64_t name_hash, uint64_t index);

// A parameter or buffer of a model under timm's name: float32, or int64 for num_batches_tracked.
Tensor parameter(std::string_view name, const Shape& shape, double gain);
// What the models are given.
FloatTensor images(const Shape& shape);

// A checkpoint that makes each tensor as it is read, in float32 or float16.
class SyntheticCheckpoint : public StateDict {
 public:
  SyntheticCheckpoint(std::vector<TensorInfo> tensors, double gain, DType dtype);
  std::string_view format() const override { return "synthetic"; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Tensor read(size_t index) const override;

 private:
  std::vector<TensorInfo> tensors_;
  double gain_;
};

}  // namespace wimm::parity
