// Runs layers on zeros while others still load: an engine that optimises code once it runs often, as those of
// WebAssembly do, then has optimised their kernels when the first image comes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "graph/graph.h"
#include "kernels/kernel.h"

namespace wimm {

class WarmUp {
 public:
  // For values of these shapes, by node; graph and shapes outlive it.
  WarmUp(const Graph& graph, std::span<const Shape> shapes, ThreadPool& pool)
      : graph_(graph), shapes_(shapes), pool_(pool) {}

  // Errors: limit_exceeded for large images, out_of_memory.
  void run(NodeId id, Kernel& kernel);

 private:
  struct Free {
    void operator()(float* memory) const;
  };

  // Floats of a value of this node, with those around it where it is part of another.
  int64_t floats_of(NodeId id) const;
  float* reserve(int64_t floats);

  const Graph& graph_;
  std::span<const Shape> shapes_;
  ThreadPool& pool_;
  std::unique_ptr<float[], Free> memory_;
  int64_t floats_ = 0;
};

}  // namespace wimm
