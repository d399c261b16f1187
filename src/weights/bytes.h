// Checked arithmetic on sizes that come from files, and the one bounds-checked way to walk a file's bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wimm/error.h"
#include "wimm/weights.h"

namespace wimm {

// Sum and product of sizes; throw limit_exceeded where the result does not fit in 64 bits.
uint64_t checked_add(uint64_t a, uint64_t b);
uint64_t checked_multiply(uint64_t a, uint64_t b);
// A size in memory; throws limit_exceeded where an address cannot hold it (32-bit targets).
size_t checked_size(uint64_t bytes);

// Whether the text is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

// Reads the bytes [begin, end) of a source in order, little-endian, through a window that is filled by large reads.
// Reading past `end` throws `past_end`: format_truncated by default.
class ByteStream {
 public:
  ByteStream(const ByteSource& source, uint64_t begin, uint64_t end, ErrorCode past_end = ErrorCode::format_truncated);

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return end_ - position_; }

  uint8_t u8();
  uint16_t u16() { return static_cast<uint16_t>(little_endian(2)); }
  uint32_t u32() { return static_cast<uint32_t>(little_endian(4)); }
  uint64_t u64() { return little_endian(8); }
  // The next `length` bytes; memory is taken only once they are known to lie inside the stream.
  std::string text(uint64_t length);
  // The bytes up to the next '\n', which is consumed and left out; throws format_corrupt where there are more than
  // `limit`.
  std::string line(size_t limit);
  void skip(uint64_t length);

 private:
  uint64_t little_endian(int bytes);
  void require(uint64_t length) const;
  void fill();

  const ByteSource& source_;
  uint64_t position_, end_;
  ErrorCode past_end_;
  uint64_t window_begin_;  // at most position_
  std::vector<std::byte> window_;
};

}  // namespace wimm
