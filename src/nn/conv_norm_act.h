// Normalisation with its activation, and a convolution before it.
#pragma once

#include <string_view>

#include "nn/scope.h"

namespace wimm::nn {

// inplace: in-place activated batch norm (arXiv 1712.02616), which counts no batches. group: group norm of 32 groups;
// groups_of_16: of 16 channels a group.
enum class Norm : uint8_t { batch, inplace, group, groups_of_16, evo_s0, evo_s0a, filter_response };

// What follows a convolution. EvoNorm-S0, of 32 groups, and filter response norm are their own activations; so is
// EvoNorm-S0a, of groups of 16 channels with an epsilon of its own, but not where the activation is the identity.
struct NormAct {
  Activation activation = Activation::relu;
  double eps = 1e-5;
  Norm norm = Norm::batch;
};

NodeId norm_act(const Scope& scope, std::string_view name, NodeId x, const NormAct& options = {});

// timm's ConvNormAct `name`: its modules "conv" and "bn".
NodeId conv_norm_act(const Scope& scope, std::string_view name, NodeId x, const ConvOptions& options,
                     const NormAct& norm_act = {});

}  // namespace wimm::nn
