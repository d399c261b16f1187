// CRC-32 through zlib, which takes 32-bit lengths.
#include "weights/crc32.h"

#include <zlib.h>

#include <algorithm>

namespace wimm {

uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t crc) {
  constexpr size_t kChunkBytes = size_t{1} << 30;
  while (!bytes.empty()) {
    const auto chunk = bytes.first(std::min(bytes.size(), kChunkBytes));
    crc = static_cast<uint32_t>(
        crc32(crc, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(chunk.size())));
    bytes = bytes.subspan(chunk.size());
  }
  return crc;
}

}  // namespace wimm
