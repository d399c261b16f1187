// What the fuzzers run: each takes any bytes and returns, or a sanitizer, a failed check or the clock ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wimm/weights.h"

namespace wimm::fuzz {

// Readers of files, given the bytes of one (for `pickle`, of a data.pkl).
void safetensors(std::span<const std::byte> bytes);
void zip(std::span<const std::byte> bytes);
void pickle(std::span<const std::byte> bytes);
void legacy(std::span<const std::byte> bytes);
void pack(std::span<const std::byte> bytes);
// A checkpoint of any format, written as a pack and read again, is what it was.
void repack(std::span<const std::byte> bytes);
// The bytes choose an architecture, its options, and a state dict that fits it more or less.
void model(std::span<const std::byte> bytes);
// The bytes choose an image and how it is prepared.
void preprocess(std::span<const std::byte> bytes);

// Low, so that an input costs microseconds.
inline constexpr ReadLimits limits{
    .header_bytes = 1 << 16, .tensors = 64, .tensor_name_bytes = 256, .rank = 16, .total_bytes = 1 << 20};

// Ends the process where a property does not hold.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace wimm::fuzz
