// Channel attention: a map scaled, or its splits mixed, by a gate computed from its pooled self.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/scope.h"

namespace wimm::nn {

struct SqueezeExciteOptions {
  int64_t reduced_channels;
  Activation activation = Activation::relu, gate = Activation::sigmoid;
  bool norm = false;                                // a batch norm "bn" after the reduction
  std::string_view reduce = "fc1", expand = "fc2";  // names of the two convolutions
  float gain = 1;                                   // multiplies the gate
  bool bias = true;                                 // of both convolutions
};

// Squeeze-and-excitation (arXiv 1709.01507): x · gate(expand(activation(reduce(mean(x))))).
NodeId squeeze_excite(const Scope& scope, NodeId x, const SqueezeExciteOptions& options);

// Effective squeeze-and-excitation (arXiv 1911.06667): x · hard_sigmoid(fc(mean(x))).
NodeId effective_squeeze_excite(const Scope& scope, NodeId x);

// timm's BatNonLocalAttn (BAT): x + the bilinear transform of its reduced channels, in two groups.
NodeId bilinear_attention(const Scope& scope, NodeId x, int64_t block);

// timm's GlobalContext (arXiv 1904.11492): x · sigmoid(mlp(context)) or x + mlp(context), the context pooled by
// attention.
enum class ContextFusion : uint8_t { scale, add };
NodeId global_context(const Scope& scope, NodeId x, int64_t reduced_channels, Activation activation,
                      ContextFusion fusion = ContextFusion::scale);

// Efficient channel attention (arXiv 1910.03151): x · sigmoid(conv(mean(x))), the convolution along channels.
// The gate is multiplied by `gain`.
NodeId efficient_channel_attention(const Scope& scope, NodeId x, int64_t kernel, float gain = 1);
// Its kernel for a number of channels: odd, near (log2(channels) + 1) / 2.
int64_t eca_kernel(int64_t channels);

// ResNeSt's split attention (arXiv 2004.08955): a 3×3 convolution makes `radix` splits of x's channels, and a gate
// computed from all of them mixes them again. One split is scaled alone.
NodeId split_attention(const Scope& scope, NodeId x, int64_t radix, int64_t groups);

}  // namespace wimm::nn
