// A convolution, its batch norm and an activation.
#pragma once

#include <string_view>

#include "nn/scope.h"

namespace wimm::nn {

// What follows the convolution.
struct NormAct {
  Activation activation = Activation::relu;
  double eps = 1e-5;
};

// timm's ConvNormAct `name`: its modules "conv" and "bn".
NodeId conv_norm_act(const Scope& scope, std::string_view name, NodeId x, const ConvOptions& options,
                     const NormAct& norm_act = {});

}  // namespace wimm::nn
