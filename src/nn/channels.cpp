// Rounding of channel counts, as timm/layers/helpers.py does it.
#include "nn/channels.h"

#include <algorithm>

namespace wimm::nn {

int64_t make_divisible(double value, int64_t divisor, int64_t min_value, double round_limit) {
  const auto nearest = static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor;
  const int64_t rounded = std::max(min_value > 0 ? min_value : divisor, nearest);
  return static_cast<double>(rounded) < round_limit * value ? rounded + divisor : rounded;
}

}  // namespace wimm::nn
