// Normalisation, activation and convolution, as timm/layers/norm_act.py and conv_bn_act.py.
#include "nn/conv_norm_act.h"

namespace wimm::nn {

NodeId norm_act(const Scope& scope, std::string_view name, NodeId x, const NormAct& options) {
  switch (options.norm) {
    case Norm::evo_s0:
      return scope.evo_norm_s0(name, x, 32, options.eps);
    case Norm::evo_s0a:
      return scope.evo_norm_s0(name, x, scope.channels(x) / 16, 1e-3, options.activation != Activation::identity);
    case Norm::filter_response:
      return scope.filter_response_norm(name, x, options.eps);
    case Norm::group:
      x = scope.group_norm(name, x, 32, options.eps);
      break;
    case Norm::inplace:
      x = scope.inplace_batch_norm(name, x, options.eps);
      break;
    case Norm::groups_of_16:
      x = scope.group_norm(name, x, scope.channels(x) / 16, options.eps);
      break;
    case Norm::batch:
      x = scope.batch_norm(name, x, options.eps);
      break;
  }
  return scope[name].activate("act", x, options.activation);
}

NodeId conv_norm_act(const Scope& scope, std::string_view name, NodeId x, const ConvOptions& options,
                     const NormAct& norm_act) {
  const Scope module = scope[name];
  return nn::norm_act(module, "bn", module.conv2d("conv", x, options), norm_act);
}

}  // namespace wimm::nn
