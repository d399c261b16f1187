// Runs parts of a graph on inputs of any shape.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/plan.h"

namespace wimm {

class Session {
 public:
  // The graph outlives the session.
  Session(const Graph& graph, Kernels kernels, int threads);

  // Computes `outputs` from a value for `source`: NCHW images or [N, C] rows in, the same out.
  std::vector<FloatTensor> run(NodeId source, std::span<const NodeId> outputs, const FloatView& value);

  // The same in slices, in place of what was started before.
  void start(NodeId source, std::span<const NodeId> outputs, const FloatView& value);
  // Runs steps, at least one, until all are done (true) or so many milliseconds have passed.
  bool advance(double milliseconds);
  // The outputs. Errors: invalid_argument before all steps are done.
  std::vector<FloatTensor> results() const;

  // The nodes that were computed, in order, and the milliseconds that each took.
  std::span<const NodeId> steps() const { return plan_->steps; }
  std::span<const double> times() const { return times_; }
  // Shape of a node's value, channels-last.
  const Shape& shape(NodeId node) const { return plan_->shapes[node]; }
  size_t weight_bytes() const;
  size_t arena_bytes() const { return arena_floats_ * sizeof(float); }

 private:
  struct Free {
    void operator()(float* memory) const;
  };

  void prepare(NodeId source, std::span<const NodeId> outputs, const Shape& input_shape);
  void run_step(NodeId id);
  bool streams_weights() const;

  const Graph& graph_;
  Kernels kernels_;
  ThreadPool& pool_;
  std::optional<Plan> plan_;   // of the last run: kernels are prepared for one shape at a time
  std::vector<double> times_;  // of the steps that are done
  // Of the passes of this plan: how many there were, and the fastest without and with weights that are streamed.
  int passes_ = 0;
  std::array<double, 2> fastest_{};
  std::unique_ptr<float[], Free> arena_;
  size_t arena_floats_ = 0;
};

}  // namespace wimm
