// Activations on four values, dispatched once per span.
#pragma once

#include <span>
#include <utility>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {

// Calls `use` with a function f32x4 → f32x4 that computes `activation`.
template <class Use>
void with_activation(Activation activation, Use&& use) {
  const auto hard_sigmoid = [](f32x4 x) {
    return clamp(x + constant<3.0f>(), f32x4{}, splat(6)) * constant<1.0f / 6>();
  };
  switch (activation) {
    case Activation::identity:
      return use([](f32x4 x) { return x; });
    case Activation::relu:
      return use([](f32x4 x) { return max(f32x4{}, x); });
    case Activation::relu6:
      return use([](f32x4 x) { return clamp(x, f32x4{}, splat(6)); });
    case Activation::squared_relu:
      return use([](f32x4 x) {
        const f32x4 positive = max(f32x4{}, x);
        return positive * positive;
      });
    case Activation::sigmoid:
      return use([](f32x4 x) { return sigmoid(x); });
    case Activation::hard_sigmoid:
      return use(hard_sigmoid);
    case Activation::silu:
      return use([](f32x4 x) { return x / (constant<1.0f>() + exp(-x)); });
    case Activation::hard_swish:
      return use([=](f32x4 x) { return x * hard_sigmoid(x); });
    case Activation::gelu:
      return use([](f32x4 x) {
        return constant<0.5f>() * x * (constant<1.0f>() + erf(x * constant<0.70710678118654752f>()));
      });
    case Activation::gelu_tanh:
      return use([](f32x4 x) {  // x/2 · (1 + tanh(u)), which is x · sigmoid(2u)
        const f32x4 cubic = multiply_add(x * x * x, constant<0.044715f>(), x);
        return x * sigmoid(constant<2 * 0.79788456080286536f>() * cubic);
      });
    case Activation::quick_gelu:
      return use([](f32x4 x) { return x * sigmoid(constant<1.702f>() * x); });
    case Activation::tanh:
      return use([](f32x4 x) { return tanh(x); });
    case Activation::mish:
      return use([](f32x4 x) {  // x · tanh(ln(1 + eˣ)), with n = (1 + eˣ)² - 1
        const f32x4 e = exp(min(x, constant<20.0f>())), n = e * (e + constant<2.0f>());
        return x * (n / (n + constant<2.0f>()));
      });
    case Activation::leaky_relu:
      return use([](f32x4 x) { return max(x, x * constant<0.01f>()); });
    case Activation::leaky_relu_1e_3:
      return use([](f32x4 x) { return max(x, x * constant<0.001f>()); });
  }
}

// The range to which a kernel clamps its result: exact for identity, relu and relu6; for any other activation no bound,
// and it must be applied afterwards.
std::pair<float, float> output_range(Activation activation);
bool is_clamp(Activation activation);

// y[i] = activation(x[i]); x and y may be the same.
void apply_activation(Activation activation, const float* x, float* y, int64_t count);

// Rows that begin so many floats apart.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};
// The same for `count` rows of `width` floats.
void apply_activation(Activation activation, Rows<const float> x, Rows<float> y, int64_t count, int64_t width);
// The same for each row of a value of this shape.
void apply_activation(Activation activation, Rows<const float> x, Rows<float> y, const Shape& shape, ThreadPool& pool);

}  // namespace wimm
