// Memory that is brought into cache before it is needed.
#pragma once

#include <atomic>
#include <cstddef>

namespace wimm {

// Asks for all lines of a block at once, before they are read a few at a time, each of which would be waited for:
// WebAssembly has no prefetch.
void bring_to_cache(const std::byte* begin, const std::byte* end);

// Brings weights that tiles read one after the other into cache, from where memory has them, if that was enabled: the
// processor guesses as well what comes next, and where its guesses are good, it is slower to wait for many lines.
class WeightStream {
 public:
  WeightStream(const void* begin, const void* end)
      : next_(static_cast<const std::byte*>(begin)), end_(static_cast<const std::byte*>(end)) {}

  // Of all threads.
  static void enable(bool enabled) { enabled_.store(enabled, std::memory_order_relaxed); }

  // Up to `end` is about to be read.
  void reach(const void* end) {
    while (end > next_ && enabled_.load(std::memory_order_relaxed)) read_block();
  }

 private:
  void read_block();

  inline static std::atomic<bool> enabled_ = false;
  const std::byte *next_, *end_;
};

}  // namespace wimm
