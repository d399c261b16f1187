// timm's adapt_input_conv.
#include <algorithm>
#include <string>

#include "weights/bytes.h"
#include "wimm/error.h"
#include "wimm/weights.h"

namespace wimm {

namespace {

constexpr int64_t kBaseChannels = 3;

// [O, I, kH·kW] in float32.
struct Kernel {
  int64_t out_chans, in_chans, area;
  std::vector<float> data;
};

// Sums each group of `group` neighbouring input channels.
Kernel sum_groups(const Kernel& kernel, int64_t group) {
  Kernel sum{kernel.out_chans, kernel.in_chans / group, kernel.area, {}};
  sum.data.assign(static_cast<size_t>(sum.out_chans * sum.in_chans * sum.area), 0.0f);
  for (int64_t channel = 0; channel < kernel.out_chans * kernel.in_chans; ++channel) {
    const float* from = &kernel.data[static_cast<size_t>(channel * kernel.area)];
    float* to = &sum.data[static_cast<size_t>(channel / group * kernel.area)];
    for (int64_t i = 0; i < kernel.area; ++i) to[i] += from[i];
  }
  return sum;
}

// Input channel c of the result is channel c mod 3, scaled by 3 / in_chans.
Kernel repeat_channels(const Kernel& kernel, int64_t in_chans) {
  Kernel repeated{kernel.out_chans, in_chans, kernel.area, {}};
  repeated.data.reserve(static_cast<size_t>(kernel.out_chans * in_chans * kernel.area));
  const auto scale = static_cast<float>(static_cast<double>(kBaseChannels) / static_cast<double>(in_chans));
  for (int64_t out = 0; out < kernel.out_chans; ++out) {
    for (int64_t in = 0; in < in_chans; ++in) {
      const float* from = &kernel.data[static_cast<size_t>((out * kBaseChannels + in % kBaseChannels) * kernel.area)];
      std::transform(from, from + kernel.area, std::back_inserter(repeated.data), [&](float x) { return x * scale; });
    }
  }
  return repeated;
}

}  // namespace

Tensor adapt_input_conv(const Tensor& weight, int64_t in_chans) {
  if (in_chans < 1) {
    throw Error(ErrorCode::invalid_argument, "in_chans must be at least 1, got " + std::to_string(in_chans));
  }
  if (weight.shape.size() != 4 || !is_floating_point(weight.dtype)) {
    throw Error(ErrorCode::state_dict_mismatch,
                "only a floating-point weight [O, I, kH, kW] can be adapted to other input "
                "channels, got " +
                    std::string(name_of(weight.dtype)) + " " + to_string(weight.shape));
  }
  if (std::ranges::find(weight.shape, 0) != weight.shape.end()) {
    throw Error(ErrorCode::state_dict_mismatch, "a weight of " + to_string(weight.shape) + " has no elements to adapt");
  }
  if (in_chans == kBaseChannels) return weight;
  const int64_t channels = weight.shape[1];
  if (in_chans == 1 ? channels > kBaseChannels && channels % kBaseChannels != 0 : channels != kBaseChannels) {
    throw Error(ErrorCode::state_dict_mismatch, "a weight of " + to_string(weight.shape) + " cannot be adapted to " +
                                                    std::to_string(in_chans) + " input channels");
  }
  const int64_t count = element_count({weight.shape[0], in_chans, weight.shape[2], weight.shape[3]});
  checked_size(checked_multiply(static_cast<uint64_t>(count), sizeof(float)));  // addressable
  Kernel kernel{weight.shape[0], channels, weight.shape[2] * weight.shape[3], to_float32(weight)};
  kernel = in_chans == 1 ? sum_groups(kernel, std::min(channels, kBaseChannels)) : repeat_channels(kernel, in_chans);

  Tensor adapted{DType::float32, {kernel.out_chans, kernel.in_chans, weight.shape[2], weight.shape[3]}, {}};
  const auto bytes = std::as_bytes(std::span(kernel.data));
  adapted.data.assign(bytes.begin(), bytes.end());
  return narrow(adapted, weight.dtype);
}

}  // namespace wimm
