// Activations on four values, dispatched once per span.
#pragma once

#include <span>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {

struct HardSigmoid {
  f32x4 three = constant<3.0f>(), six = constant<6.0f>(), sixth = constant<1.0f / 6>();
  f32x4 operator()(f32x4 x) const { return min(max(x + three, f32x4{}), six) * sixth; }
};

// Calls `use` with a function f32x4 → f32x4 that computes `activation`.
template <class Use>
void with_activation(Activation activation, Use&& use) {
  switch (activation) {
    case Activation::identity:
      return use([](f32x4 x) { return x; });
    case Activation::relu:
      return use([](f32x4 x) { return max(x, f32x4{}); });
    case Activation::relu6:
      return use([six = constant<6.0f>()](f32x4 x) { return min(max(x, f32x4{}), six); });
    case Activation::squared_relu:
      return use([](f32x4 x) {
        const f32x4 positive = max(x, f32x4{});
        return positive * positive;
      });
    case Activation::sigmoid:
      return use(Sigmoid());
    case Activation::hard_sigmoid:
      return use(HardSigmoid());
    case Activation::silu:
      return use([exp = Exp(), one = constant<1.0f>()](f32x4 x) { return x / (one + exp(-x)); });
    case Activation::hard_swish:
      return use([hard_sigmoid = HardSigmoid()](f32x4 x) { return x * hard_sigmoid(x); });
    case Activation::gelu:
      return use([erf = Erf(), half = constant<0.5f>(), root = constant<0.70710678118654752f>()](f32x4 x) {
        return half * x * (erf.q0 + erf(x * root));
      });
    case Activation::gelu_tanh:
      return use(
          [sigmoid = Sigmoid(), cube = constant<0.044715f>(), twice = constant<2 * 0.79788456080286536f>()](f32x4 x) {
            // x/2 · (1 + tanh(u)), which is x · sigmoid(2u)
            return x * sigmoid(twice * multiply_add(x * x * x, cube, x));
          });
    case Activation::quick_gelu:
      return use([sigmoid = Sigmoid(), factor = constant<1.702f>()](f32x4 x) { return x * sigmoid(factor * x); });
    case Activation::tanh:
      return use(Tanh());
    case Activation::mish:
      return use([exp = Exp(), two = constant<2.0f>(), most = constant<20.0f>()](f32x4 x) {
        // x · tanh(ln(1 + eˣ)), with n = (1 + eˣ)² - 1
        const f32x4 e = exp(min(x, most)), n = e * (e + two);
        return x * (n / (n + two));
      });
    case Activation::leaky_relu:
      return use([slope = constant<0.01f>()](f32x4 x) { return max(x, x * slope); });
    case Activation::leaky_relu_1e_3:
      return use([slope = constant<0.001f>()](f32x4 x) { return max(x, x * slope); });
  }
}

// y[i] = activation(x[i]); x and y may be the same.
void apply_activation(Activation activation, const float* x, float* y, int64_t count);

// Rows that begin so many floats apart.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};
// The same for each row of a value of this shape.
void apply_activation(Activation activation, Rows<const float> x, Rows<float> y, const Shape& shape, ThreadPool& pool);

}  // namespace wimm
