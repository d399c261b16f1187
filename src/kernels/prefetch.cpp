#include "kernels/prefetch.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace wimm {

void bring_to_cache(const std::byte* begin, const std::byte* end) {
  constexpr ptrdiff_t line = 64;
  for (; end - begin >= line; begin += line) {
    int32_t word;
    std::memcpy(&word, begin, sizeof word);
    asm volatile("" ::"r"(word));  // else compilers leave out a load whose result is not used
  }
}

void WeightStream::read_block() {
  constexpr ptrdiff_t block = 64 << 10;
  const std::byte* const begin = next_;
  next_ += std::min(block, end_ - next_);
  bring_to_cache(begin, next_);
}

}  // namespace wimm
