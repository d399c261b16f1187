// Running a plan.
#include "runtime/session.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>

#include "graph/shapes.h"
#include "kernels/prefetch.h"
#include "runtime/stopwatch.h"
#include "wimm/error.h"

namespace wimm {
namespace {

// A matrix whose rows begin so many floats apart.
template <class T>
struct Matrix {
  T* data;
  int64_t stride;
};

// to[j][i] = from[i][j] for each of a batch, in tiles that stay in cache.
void transpose(Matrix<const float> from, Matrix<float> to, int64_t batch, int64_t rows, int64_t columns,
               ThreadPool& pool) {
  constexpr int64_t tile = 16;
  const int64_t strips = (columns + tile - 1) / tile;
  pool.parallel_for(batch * strips, std::max<int64_t>(1, strips / 4), [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t n = strip / strips, j0 = strip % strips * tile, j1 = std::min(j0 + tile, columns);
      const float* source = from.data + n * rows * from.stride;
      float* target = to.data + n * columns * to.stride;
      for (int64_t i0 = 0; i0 < rows; i0 += tile)
        for (int64_t j = j0; j < j1; ++j)
          for (int64_t i = i0; i < std::min(i0 + tile, rows); ++i)
            target[j * to.stride + i] = source[i * from.stride + j];
    }
  });
}

// Images [N, C, H, W] → a value [N, H, W, C]; other values as they are. Strides are those of its pixels.
void copy_in(const float* from, Matrix<float> to, const Shape& shape, ThreadPool& pool) {
  const int64_t channels = shape.back();
  if (shape.size() == 4) {
    const int64_t pixels = shape[1] * shape[2];
    return transpose({from, pixels}, to, shape[0], channels, pixels, pool);
  }
  for (int64_t row = 0; row < element_count(shape) / channels; ++row)
    std::copy_n(from + row * channels, channels, to.data + row * to.stride);
}

// The way back.
void copy_out(Matrix<const float> from, float* to, const Shape& shape, ThreadPool& pool) {
  const int64_t channels = shape.back();
  if (shape.size() == 4) {
    const int64_t pixels = shape[1] * shape[2];
    return transpose(from, {to, pixels}, shape[0], pixels, channels, pool);
  }
  for (int64_t row = 0; row < element_count(shape) / channels; ++row)
    std::copy_n(from.data + row * from.stride, channels, to + row * channels);
}

}  // namespace

void Session::Free::operator()(float* memory) const { std::free(memory); }

Session::Session(const Graph& graph, Kernels kernels, int threads)
    : graph_(graph), kernels_(std::move(kernels)), pool_(ThreadPool::shared(threads)) {}

size_t Session::weight_bytes() const {
  size_t bytes = 0;
  for (const auto& kernel : kernels_)
    if (kernel) bytes += kernel->weight_bytes();
  return bytes;
}

std::vector<FloatTensor> Session::run(NodeId source, std::span<const NodeId> outputs, const FloatView& value) {
  start(source, outputs, value);
  advance(std::numeric_limits<double>::infinity());
  return results();
}

void Session::start(NodeId source, std::span<const NodeId> outputs, const FloatView& value) {
  prepare(source, outputs, channels_last(value.shape));
  times_.clear();
  copy_in(value.data.data(), {arena_.get() + plan_->offsets[source], graph_.pixel_stride(source)}, plan_->input_shape,
          pool_);
}

bool Session::advance(double milliseconds) {
  if (!plan_ || times_.size() == plan_->steps.size()) return true;
  const bool streams = streams_weights();
  WeightStream::enable(streams);
  const Stopwatch slice;
  for (double before = 0; times_.size() < plan_->steps.size() && before < milliseconds;) {
    run_step(plan_->steps[times_.size()]);
    const double now = slice.milliseconds();
    times_.push_back(now - before);
    before = now;
  }
  if (times_.size() < plan_->steps.size()) return false;
  fastest_[streams] = std::min(fastest_[streams], std::accumulate(times_.begin(), times_.end(), 0.0));
  ++passes_;
  return true;
}

// The first passes try both ways.
bool Session::streams_weights() const {
  constexpr int trials = 8;
  return passes_ < trials ? passes_ % 2 == 1 : fastest_[1] < fastest_[0];
}

std::vector<FloatTensor> Session::results() const {
  if (!plan_ || times_.size() < plan_->steps.size())
    throw Error(ErrorCode::invalid_argument, "there are no results before the call is done");
  std::vector<FloatTensor> results;
  for (NodeId id : plan_->outputs) {
    const Shape& shape = plan_->shapes[id];
    FloatTensor& result =
        results.emplace_back(FloatTensor{channels_first(shape), std::vector<float>(element_count(shape))});
    copy_out({arena_.get() + plan_->offsets[id], graph_.pixel_stride(id)}, result.data.data(), shape, pool_);
  }
  return results;
}

void Session::prepare(NodeId source, std::span<const NodeId> outputs, const Shape& input_shape) {
  if (plan_ && plan_->source == source && std::ranges::equal(plan_->outputs, outputs) &&
      plan_->input_shape == input_shape)
    return;
  plan_.reset();  // kernels are about to change
  Plan plan = make_plan(graph_, kernels_, source, outputs, input_shape, pool_);
  const size_t floats =
      plan.arena_floats + (plan.workspace_bytes + sizeof(float) - 1) / sizeof(float) + overread_floats;
  if (floats > arena_floats_ || floats < arena_floats_ / 4) {
    arena_.reset();
    arena_floats_ = 0;
    constexpr size_t alignment = 64;
    void* memory = std::aligned_alloc(alignment, (floats * sizeof(float) + alignment - 1) / alignment * alignment);
    if (!memory)
      throw Error(ErrorCode::out_of_memory,
                  "no memory for the activations: " + std::to_string(floats * sizeof(float) >> 20) +
                      " MiB; use a smaller input or batch");
    std::memset(memory, 0, floats * sizeof(float));
    arena_.reset(static_cast<float*>(memory));
    arena_floats_ = floats;
  }
  plan_ = std::move(plan);
  passes_ = 0;
  fastest_.fill(std::numeric_limits<double>::infinity());
}

void Session::run_step(NodeId id) {
  const Node& node = graph_.nodes[id];
  std::vector<const float*> inputs;
  for (NodeId input : node.inputs) inputs.push_back(arena_.get() + plan_->offsets[input]);
  auto* workspace = reinterpret_cast<std::byte*>(arena_.get() + plan_->arena_floats);
  kernels_[id]->run(inputs, arena_.get() + plan_->offsets[id], workspace, pool_);
}

}  // namespace wimm
