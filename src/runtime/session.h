// Runs parts of a graph on inputs of any shape.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/plan.h"

namespace wimm {

// Called after each step with its node and its milliseconds.
using StepObserver = std::function<void(NodeId, double)>;

class Session {
 public:
  // The graph outlives the session.
  Session(const Graph& graph, Kernels kernels, int threads);

  // Computes `outputs` from a value for `source`: NCHW images or [N, C] rows in, the same out.
  std::vector<FloatTensor> run(NodeId source, std::span<const NodeId> outputs, const FloatView& value,
                               const StepObserver& observer = {});

  // Shape of a node's value in the last run, channels-last.
  const Shape& shape(NodeId node) const { return plan_->shapes[node]; }
  size_t weight_bytes() const;
  size_t arena_bytes() const { return arena_floats_ * sizeof(float); }

 private:
  struct Free {
    void operator()(float* memory) const;
  };

  void prepare(NodeId source, std::span<const NodeId> outputs, const Shape& input_shape);
  void run_step(NodeId id);

  const Graph& graph_;
  Kernels kernels_;
  ThreadPool& pool_;
  std::optional<Plan> plan_;  // of the last run: kernels are prepared for one shape at a time
  std::unique_ptr<float[], Free> arena_;
  size_t arena_floats_ = 0;
};

}  // namespace wimm
