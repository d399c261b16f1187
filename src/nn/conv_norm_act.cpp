// A convolution, its batch norm and an activation, as timm/layers/conv_bn_act.py.
#include "nn/conv_norm_act.h"

namespace wimm::nn {

NodeId conv_norm_act(const Scope& scope, std::string_view name, NodeId x, const ConvOptions& options,
                     const NormAct& norm_act) {
  const Scope module = scope[name];
  x = module.batch_norm("bn", module.conv2d("conv", x, options), norm_act.eps);
  return module.activate("act", x, norm_act.activation);
}

}  // namespace wimm::nn
