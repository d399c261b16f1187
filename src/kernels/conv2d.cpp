// Convolution, batch norm and layer scale folded into its weights: which kernel computes it, and, for those in groups
// or with gaps in their windows, XNNPACK's NHWC operator.
#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/activations.h"
#include "kernels/xnnpack.h"
#include "wimm/error.h"

namespace wimm {

std::vector<float> channels_last(std::vector<float> weight, int64_t out, int64_t in, int64_t window) {
  if (in == 1 || window == 1) return weight;
  std::vector<float> filter(static_cast<size_t>(in * window));
  for (int64_t o = 0; o < out; ++o) {
    float* const to = &weight[o * in * window];
    std::copy_n(to, filter.size(), filter.begin());
    for (int64_t i = 0; i < in; ++i)
      for (int64_t k = 0; k < window; ++k) to[k * in + i] = filter[i * window + k];
  }
  return weight;
}

PaddedImage padded_image(const Conv2d& op, const Shape& input, const Shape& output) {
  PaddedImage image;
  const Padding& p = op.padding;
  for (const size_t d : {0, 1}) {
    const int64_t windows = (output[d + 1] - 1) * op.stride[d] + (op.kernel[d] - 1) * op.dilation[d] + 1;
    const int64_t needed = std::max(windows, input[d + 1]);
    image.before[d] = p.same ? (needed - input[d + 1]) / 2 : (d == 0 ? p.top : p.left);
    image.size[d] = std::max(needed, image.before[d] + input[d + 1]);
  }
  return image;
}

namespace {

class ConvKernel final : public Kernel {
 public:
  ConvKernel(const Conv2d& op, int64_t in_channels, const Strides& strides, std::string_view layer,
             ParameterReader& reader)
      : layer_(layer), activation_(op.activation), out_stride_(strides.output) {
    auto [weight, bias] = read_folded(op, layer, reader);
    weight_bytes_ = (weight.size() + bias.size()) * sizeof(float);
    const int64_t group_in = in_channels / op.groups, group_out = op.out_channels / op.groups;
    weight = channels_last(std::move(weight), op.out_channels, group_in, op.kernel[0] * op.kernel[1]);
    weight.resize(weight.size() + overread_floats);

    initialize_xnnpack();
    const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
    const auto [low, high] = output_range(op.activation);
    const Padding& p = op.padding;
    xnn_operator_t created = nullptr;
    const xnn_status status = xnn_create_convolution2d_nhwc_f32(
        u32(p.top), u32(p.right), u32(p.bottom), u32(p.left), u32(op.kernel[0]), u32(op.kernel[1]), u32(op.stride[0]),
        u32(op.stride[1]), u32(op.dilation[0]), u32(op.dilation[1]), u32(op.groups), group_in, group_out,
        strides.inputs[0], out_stride_, weight.data(), bias.data(), low, high,
        p.same ? XNN_FLAG_TENSORFLOW_SAME_PADDING : 0, nullptr, nullptr, &created);
    // Without memory for the zeros of its padding XNNPACK gives success, and no operator.
    check(status == xnn_status_success && !created ? xnn_status_out_of_memory : status, layer_);
    operator_.reset(created);
  }

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    const Shape& in = inputs[0];
    size_t bytes = 0, alignment = 0, height = 0, width = 0;
    check(xnn_reshape_convolution2d_nhwc_f32(operator_.get(), in[0], in[1], in[2], &bytes, &alignment, &height, &width,
                                             pool.handle()),
          layer_);
    output_ = output;
    return bytes;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    check(xnn_setup_convolution2d_nhwc_f32(operator_.get(), workspace, inputs[0], output), layer_);
    check(xnn_run_operator(operator_.get(), pool.handle()), layer_);
    if (!is_clamp(activation_))
      apply_activation(activation_, {output, out_stride_}, {output, out_stride_}, output_, pool);
  }

  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  std::string layer_;
  Activation activation_;
  XnnOperator operator_;
  int64_t out_stride_;
  Shape output_;
  size_t weight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Conv2d& op, int64_t channels, const Strides& strides, std::string_view layer,
                                    ParameterReader& reader) {
  if (op.int8)
    return is_pointwise(op) ? make_int8_pointwise(op, channels, strides, layer, reader)
                            : make_int8_conv(op, channels, strides, layer, reader);
  if (op.winograd_tile > 0) return make_winograd(op, channels, strides, layer, reader);
  if (!op.expansion.empty() || is_depthwise(op, channels)) return make_depthwise(op, channels, strides, layer, reader);
  if (op.groups == 1 && op.dilation[1] == 1) return make_window_conv(op, channels, strides, layer, reader);
  return std::make_unique<ConvKernel>(op, channels, strides, layer, reader);
}

}  // namespace wimm
