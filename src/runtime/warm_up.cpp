// One block of memory: zeros that are all inputs of a layer, its output, its workspace.
#include "runtime/warm_up.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "wimm/error.h"

namespace wimm {
namespace {

constexpr int64_t alignment_floats = 16;
constexpr int64_t most_floats = 1 << 26;

int64_t aligned(int64_t floats) { return (floats + alignment_floats - 1) / alignment_floats * alignment_floats; }

void check_size(int64_t floats) {
  if (floats > most_floats) throw Error(ErrorCode::limit_exceeded, "images are too large to run layers on zeros");
}

}  // namespace

void WarmUp::Free::operator()(float* memory) const { std::free(memory); }

int64_t WarmUp::floats_of(NodeId id) const {
  const Shape& shape = shapes_[id];
  const int64_t pixels = element_count(shape) / shape.back();
  check_size(pixels);
  return aligned(pixels * graph_.pixel_stride(id) + static_cast<int64_t>(overread_floats));
}

float* WarmUp::reserve(int64_t floats) {
  check_size(floats);
  if (floats > floats_) {
    memory_.reset();
    floats_ = 0;
    const auto bytes = static_cast<size_t>(floats) * sizeof(float);
    memory_.reset(static_cast<float*>(std::aligned_alloc(alignment_floats * sizeof(float), bytes)));
    if (!memory_) throw std::bad_alloc();
    floats_ = floats;
  }
  return memory_.get();
}

void WarmUp::run(NodeId id, Kernel& kernel) {
  const Node& node = graph_.nodes[id];
  std::vector<Shape> shapes;
  int64_t input = 0;
  for (const NodeId from : node.inputs) {
    shapes.push_back(shapes_[from]);
    input = std::max(input, floats_of(from));
  }
  if (is_view(node.op, shapes[0])) return;
  const int64_t output = floats_of(id);
  check_size(input + output);  // before a kernel counts its workspace
  const auto workspace = static_cast<int64_t>(kernel.reshape(shapes, shapes_[id], pool_) / sizeof(float)) + 1;
  float* const memory = reserve(input + output + aligned(workspace));
  std::memset(memory, 0, static_cast<size_t>(input) * sizeof(float));
  const std::vector<const float*> inputs(node.inputs.size(), memory);
  kernel.run(inputs, memory + input, reinterpret_cast<std::byte*>(memory + input + output), pool_);
}

}  // namespace wimm
