// Branches of the Inception models.
#include "models/inception_blocks.h"

#include "nn/conv_norm_act.h"

namespace wimm::inception {

NodeId conv(const nn::Scope& scope, std::string_view name, NodeId x, const Conv& conv) {
  return nn::conv_norm_act(scope, name, x,
                           {.out_channels = conv.channels,
                            .kernel = conv.kernel,
                            .stride = conv.stride,
                            .padding = conv.padded ? nn::same_size_padding(conv.kernel) : Padding{}},
                           {.eps = 1e-3});
}

NodeId branch(const nn::Scope& scope, NodeId x, std::initializer_list<Conv> convs) {
  int index = 0;
  for (const Conv& each : convs) x = conv(scope, std::to_string(index++), x, each);
  return x;
}

NodeId max_pool(const nn::Scope& scope, std::string_view name, NodeId x) {
  return scope.max_pool(name, x, {.kernel = {3, 3}, .stride = {2, 2}});
}

NodeId pool_branch(const nn::Scope& scope, NodeId x, int64_t channels) {
  const AvgPool pool{.kernel = {3, 3}, .stride = {1, 1}, .padding = nn::padding(1), .count_include_pad = false};
  return conv(scope, "1", scope.avg_pool("0", x, pool), {channels});
}

}  // namespace wimm::inception
