#include "kernels/prefetch.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace wimm {

// Memory gives several streams at once half as much again as one.
void bring_to_cache(const std::byte* begin, const std::byte* end) {
  constexpr ptrdiff_t line = 64, streams = 4;
  const ptrdiff_t stream = (end - begin) / (streams * line) * line;
  const auto read = [](const std::byte* from) {
    int32_t word;
    std::memcpy(&word, from, sizeof word);
    asm volatile("" ::"r"(word));  // else compilers leave out a load whose result is not used
  };
  for (const std::byte* const last = begin + stream; begin != last; begin += line)
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < streams; ++i) read(begin + i * stream);
}

void WeightStream::read_block() {
  constexpr ptrdiff_t block = 64 << 10;
  const std::byte* const begin = next_;
  next_ += std::min(block, end_ - next_);
  bring_to_cache(begin, next_);
}

}  // namespace wimm
