// Fully connected layers on XNNPACK's operator.
#include "kernels/activations.h"
#include "kernels/affine.h"
#include "kernels/xnnpack.h"

namespace wimm {
namespace {

class LinearKernel final : public Kernel {
 public:
  LinearKernel(const Linear& op, int64_t in_features, std::string_view layer, ParameterReader& reader)
      : activation_(op.activation) {
    auto [weight, bias] = read_folded(op, layer, reader);
    weight_bytes_ = (weight.size() + bias.size()) * sizeof(float);
    weight.resize(weight.size() + overread_floats);
    initialize_xnnpack();
    const auto [low, high] = output_range(op.activation);
    xnn_operator_t created = nullptr;
    check(xnn_create_fully_connected_nc_f32(in_features, op.out_features, in_features, op.out_features, weight.data(),
                                            bias.data(), low, high, 0, nullptr, nullptr, &created),
          "a linear layer");
    operator_.reset(created);
  }

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool& pool) override {
    output_ = output;
    check(xnn_reshape_fully_connected_nc_f32(operator_.get(), element_count(output) / output.back(), pool.handle()),
          "a linear layer");
    return 0;
  }

  void run(std::span<const float* const> inputs, float* output, std::byte*, ThreadPool& pool) override {
    check(xnn_setup_fully_connected_nc_f32(operator_.get(), inputs[0], output), "a linear layer");
    check(xnn_run_operator(operator_.get(), pool.handle()), "a linear layer");
    if (!is_clamp(activation_))
      apply_activation(activation_, {output, output_.back()}, {output, output_.back()}, output_, pool);
  }

  size_t weight_bytes() const override { return weight_bytes_; }

 private:
  Activation activation_;
  XnnOperator operator_;
  Shape output_;
  size_t weight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const Linear& op, int64_t channels, std::string_view layer,
                                    ParameterReader& reader) {
  return std::make_unique<LinearKernel>(op, channels, layer, reader);
}

}  // namespace wimm
