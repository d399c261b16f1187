// What the cells of NASNet and PNASNet are made of.
#pragma once

#include <string_view>

#include "nn/scope.h"

namespace wimm::nasnet {

inline constexpr double norm_eps = 1e-3;

// What enters a cell, as it is and after the ReLU with which most branches begin: computed once.
struct Value {
  NodeId raw, relu;
};
Value activated(const nn::Scope& scope, NodeId raw);

// timm's ActConvBn on a value that is activated already: a 1×1 convolution and batch norm.
NodeId conv_norm(const nn::Scope& scope, NodeId x, int64_t channels, int64_t stride = 1);
// timm's BranchSeparables on a value that is activated already: two separable convolutions, the first one strided.
NodeId separable_branch(const nn::Scope& scope, NodeId x, int64_t channels, int64_t kernel, int64_t stride = 1);
// timm's FactorizedReduction on a value that is activated already: half the channels see its even pixels, half its odd
// ones.
NodeId factorized_reduction(const nn::Scope& scope, NodeId x, int64_t channels);
// Over 3×3 pixels.
NodeId max_pool(const nn::Scope& scope, std::string_view name, NodeId x, int64_t stride = 1);
NodeId avg_pool(const nn::Scope& scope, std::string_view name, NodeId x, int64_t stride = 1);

}  // namespace wimm::nasnet
