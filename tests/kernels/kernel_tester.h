// Runs one kernel on tensors of small random numbers, for comparison with a naive loop.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <vector>

#include "kernels/kernel.h"
#include "wimm/tensor.h"

namespace wimm::testing {

// Numbers around `mean`, the same for the same seed.
inline FloatTensor random_tensor(Shape shape, uint32_t seed, float mean = 0) {
  std::minstd_rand generator(seed);
  std::uniform_real_distribution<float> distribution(mean - 2, mean + 2);
  FloatTensor tensor{shape, std::vector<float>(static_cast<size_t>(element_count(shape)))};
  for (float& value : tensor.data) value = distribution(generator);
  return tensor;
}

// Parameters by their ids: 0, 1, …
class FixedParameters final : public ParameterReader {
 public:
  FixedParameters(std::initializer_list<FloatTensor> tensors) : tensors_(tensors) {}
  std::vector<float> read(ParameterId id) override { return tensors_.at(static_cast<size_t>(id)).data; }
  ThreadPool& pool() override { return ThreadPool::shared(2); }

 private:
  std::vector<FloatTensor> tensors_;
};

inline FloatTensor run_kernel(Kernel& kernel, std::span<const FloatTensor> inputs, const Shape& output_shape,
                              int threads = 2) {
  ThreadPool pool(threads);
  std::vector<Shape> shapes;
  std::vector<std::vector<float>> padded;
  std::vector<const float*> pointers;
  for (const FloatTensor& input : inputs) {
    shapes.push_back(input.shape);
    padded.push_back(input.data);
    padded.back().resize(input.data.size() + overread_floats, 1e30f);  // must not reach the result
    pointers.push_back(padded.back().data());
  }
  std::vector<std::max_align_t> workspace(kernel.reshape(shapes, output_shape, pool) / sizeof(std::max_align_t) + 1);
  FloatTensor output{output_shape, std::vector<float>(static_cast<size_t>(element_count(output_shape)))};
  kernel.run(pointers, output.data.data(), reinterpret_cast<std::byte*>(workspace.data()), pool);
  return output;
}

// The largest difference, relative to the largest expected magnitude.
inline double difference(const FloatTensor& got, std::span<const double> expected) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(got.data[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return got.data.size() == expected.size() ? worst / largest : 1;
}

}  // namespace wimm::testing
