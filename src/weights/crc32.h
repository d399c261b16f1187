// CRC-32 of memory of any size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace wimm {

// Continues from `crc`, that of the bytes before these.
uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t crc = 0);

}  // namespace wimm
