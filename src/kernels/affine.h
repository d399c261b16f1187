// Batch norm and layer scale as y = x · scale + shift.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/kernel.h"

namespace wimm {

// One of each per channel.
struct ScaleShift {
  std::vector<float> scale, shift;
};

// Errors: weights_nonfinite where the statistics give a scale or shift that is not finite.
ScaleShift read_affine(const Affine& op, int64_t channels, std::string_view layer, ParameterReader& reader);

// weight [out, …], standardised where the operation says so, and bias [out] (zeros where it has none) of a convolution
// or linear layer, with the affine steps that follow it folded in.
struct FoldedWeights {
  std::vector<float> weight, bias;
};
FoldedWeights read_folded(const Conv2d& op, std::string_view layer, ParameterReader& reader);
FoldedWeights read_folded(const Linear& op, std::string_view layer, ParameterReader& reader);

}  // namespace wimm
