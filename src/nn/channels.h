// Rounding of channel counts.
#pragma once

#include <cstdint>

namespace wimm::nn {

// timm's make_divisible: `value` rounded to the nearest multiple of `divisor`, at least `min_value` (0: `divisor`), and
// not below round_limit · value.
int64_t make_divisible(double value, int64_t divisor = 8, int64_t min_value = 0, double round_limit = 0.9);

}  // namespace wimm::nn
