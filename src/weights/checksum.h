// Whether bytes are those that were written: of what a cache holds, where damage is looked for and not deceit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace wimm {

// Fletcher's two sums, of 32-bit words: `sum` of the words, `sum_of_sums` of what `sum` was after each.
struct Checksum {
  uint32_t sum = 0, sum_of_sums = 0;

  // All bytes but the last have to come in multiples of four; those after the last four count as words.
  void add(std::span<const std::byte> bytes);
};

}  // namespace wimm
