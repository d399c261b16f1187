// Fully connected layers, and 1×1 convolutions in integers: matrix products.
#include "kernels/conv2d.h"
#include "kernels/gemm.h"
#include "kernels/int8_gemm.h"

namespace wimm {
namespace {

class Int8PointwiseKernel final : public Kernel {
 public:
  Int8PointwiseKernel(const Conv2d& op, int64_t channels, const Strides& strides, std::string_view layer,
                      ParameterReader& reader)
      : op_(op),
        gemm_(read_folded(op, layer, reader), 1, channels, op.activation, reader.pool()),
        in_stride_(strides.inputs[0]),
        out_stride_(strides.output) {}

  size_t reshape(std::span<const Shape> inputs, const Shape& output, ThreadPool& pool) override {
    in_ = inputs[0];
    out_ = output;
    return gemm_.reshape(output[0] * output[1] * output[2], pool);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    gemm_.run(output, out_stride_, workspace, pool, [&](int64_t first, std::span<const float*> rows) {
      locate_windows(op_, out_, inputs[0], {in_[1], in_[2]}, in_stride_, first, rows);
    });
  }

  size_t weight_bytes() const override { return gemm_.weight_bytes(); }

 private:
  Conv2d op_;
  Int8Gemm gemm_;
  int64_t in_stride_, out_stride_;
  Shape in_, out_;
};

template <class Gemm>
class LinearKernel final : public Kernel {
 public:
  LinearKernel(const Linear& op, int64_t in_features, Gemm gemm)
      : gemm_(std::move(gemm)), in_features_(in_features), out_features_(op.out_features) {}

  size_t reshape(std::span<const Shape>, const Shape& output, ThreadPool& pool) override {
    return gemm_.reshape(element_count(output) / out_features_, pool);
  }

  void run(std::span<const float* const> inputs, float* output, std::byte* workspace, ThreadPool& pool) override {
    gemm_.run(output, out_features_, workspace, pool, [&](int64_t first, std::span<const float*> rows) {
      for (size_t r = 0; r < rows.size(); ++r) rows[r] = inputs[0] + (first + static_cast<int64_t>(r)) * in_features_;
    });
  }

  size_t weight_bytes() const override { return gemm_.weight_bytes(); }

 private:
  Gemm gemm_;
  int64_t in_features_, out_features_;
};

}  // namespace

std::unique_ptr<Kernel> make_int8_pointwise(const Conv2d& op, int64_t channels, const Strides& strides,
                                            std::string_view layer, ParameterReader& reader) {
  return std::make_unique<Int8PointwiseKernel>(op, channels, strides, layer, reader);
}

std::unique_ptr<Kernel> make_kernel(const Linear& op, int64_t channels, std::string_view layer,
                                    ParameterReader& reader) {
  if (op.int8) {
    Int8Gemm gemm(read_folded(op, layer, reader), 1, channels, op.activation, reader.pool());
    return std::make_unique<LinearKernel<Int8Gemm>>(op, channels, std::move(gemm));
  }
  Gemm gemm(op.out_features, channels, op.activation);
  gemm.pack(read_folded(op, layer, reader), reader.pool());
  return std::make_unique<LinearKernel<Gemm>>(op, channels, std::move(gemm));
}

}  // namespace wimm
