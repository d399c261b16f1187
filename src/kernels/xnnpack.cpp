// XNNPACK's start-up and its status codes.
#include "kernels/xnnpack.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#include "kernels/kernel.h"
#include "wimm/error.h"

namespace wimm {

static_assert(overread_floats * sizeof(float) >= XNN_EXTRA_BYTES);

namespace {

// XNNPACK does not ask whether it got its smallest blocks, such as lists of zeros for padding. Where there is no memory
// for them they are of this reserve, and `check` tells afterwards.
class Reserve {
 public:
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (bytes > blocks_.size() - used_) return nullptr;
    void* const block = &blocks_[used_];
    used_ += bytes;
    ++live_;
    was_needed_ = true;
    return block;
  }
  bool give_back(void* block) {
    auto* const byte = static_cast<std::byte*>(block);
    if (std::less<>()(byte, blocks_.data()) || !std::less<>()(byte, blocks_.data() + blocks_.size())) return false;
    const std::lock_guard lock(mutex_);
    if (--live_ == 0) used_ = 0;
    return true;
  }
  // Since it was asked before.
  bool was_needed() {
    const std::lock_guard lock(mutex_);
    return std::exchange(was_needed_, false);
  }

 private:
  static constexpr size_t alignment = 64;
  std::mutex mutex_;
  alignas(alignment) std::array<std::byte, size_t{1} << 16> blocks_{};
  size_t used_ = 0, live_ = 0;
  bool was_needed_ = false;
};

Reserve reserve;

void* allocate(void*, size_t bytes) {
  void* const block = std::malloc(bytes);
  return block ? block : reserve.take(bytes);
}

void deallocate(void*, void* block) {
  if (!reserve.give_back(block)) std::free(block);
}

void* reallocate(void* context, void* block, size_t bytes) {
  if (!block) return allocate(context, bytes);
  if (reserve.give_back(block)) return allocate(context, bytes);  // what XNNPACK resizes it writes anew
  return std::realloc(block, bytes);
}

void* aligned_allocate(void*, size_t alignment, size_t bytes) {
  void* const block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  return block ? block : reserve.take(bytes);
}

constexpr xnn_allocator allocator{nullptr, allocate, reallocate, deallocate, aligned_allocate, deallocate};

}  // namespace

void initialize_xnnpack() {
  static const xnn_status status = xnn_initialize(&allocator);
  check(status, "XNNPACK");
}

void check(xnn_status status, std::string_view what) {
  const bool was_short = reserve.was_needed();
  if (status == xnn_status_success && !was_short) return;
  if (status == xnn_status_out_of_memory || was_short)
    throw Error(ErrorCode::out_of_memory, "out of memory in " + std::string(what));
  throw Error(ErrorCode::runtime_crashed,
              std::string(what) + ": XNNPACK refused the operator (status " + std::to_string(status) + ")");
}

bool is_clamp(Activation activation) {
  return activation == Activation::identity || activation == Activation::relu || activation == Activation::relu6;
}

std::pair<float, float> output_range(Activation activation) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (activation == Activation::relu) return {0, infinity};
  if (activation == Activation::relu6) return {0, 6};
  return {-infinity, infinity};
}

}  // namespace wimm
