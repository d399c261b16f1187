// What the Inception models are made of: branches of convolutions, each followed by batch norm (eps 1e-3) and ReLU.
#pragma once

#include <initializer_list>
#include <string_view>

#include "nn/scope.h"

namespace wimm::inception {

struct Conv {
  int64_t channels;
  nn::Extent kernel = 1;
  int64_t stride = 1;
  bool padded = stride == 1;  // so that the size stays
};

NodeId conv(const nn::Scope& scope, std::string_view name, NodeId x, const Conv& conv);
// Convolutions "0", "1", … one after the other.
NodeId branch(const nn::Scope& scope, NodeId x, std::initializer_list<Conv> convs);
// 3×3, stride 2, no padding.
NodeId max_pool(const nn::Scope& scope, std::string_view name, NodeId x);
// The mean of 3×3 pixels that are there, then the 1×1 convolution "1".
NodeId pool_branch(const nn::Scope& scope, NodeId x, int64_t channels);

}  // namespace wimm::inception
