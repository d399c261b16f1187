// Checked arithmetic, UTF-8 validation and the windowed byte stream.
#include "weights/bytes.h"

#include <algorithm>
#include <limits>

namespace wimm {

namespace {

constexpr uint64_t kWindowBytes = 64 << 10;

}  // namespace

uint64_t checked_add(uint64_t a, uint64_t b) {
  if (a > std::numeric_limits<uint64_t>::max() - b) {
    throw Error(ErrorCode::limit_exceeded, "a size in the file exceeds 64 bits");
  }
  return a + b;
}

uint64_t checked_multiply(uint64_t a, uint64_t b) {
  if (b != 0 && a > std::numeric_limits<uint64_t>::max() / b) {
    throw Error(ErrorCode::limit_exceeded, "a size in the file exceeds 64 bits");
  }
  return a * b;
}

size_t checked_size(uint64_t bytes) {
  if (bytes > std::numeric_limits<size_t>::max() / 2) {
    throw Error(ErrorCode::limit_exceeded, std::to_string(bytes) + " bytes cannot be held in this address space");
  }
  return static_cast<size_t>(bytes);
}

bool is_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = bytes[i];
    const size_t length = lead < 0x80 ? 1 : lead >> 5 == 0x06 ? 2 : lead >> 4 == 0x0E ? 3 : lead >> 3 == 0x1E ? 4 : 0;
    if (length == 0 || length > text.size() - i) return false;
    uint32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
    for (size_t k = 1; k < length; ++k) {
      if (bytes[i + k] >> 6 != 0x02) return false;
      code = code << 6 | (bytes[i + k] & 0x3F);
    }
    constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

ByteStream::ByteStream(const ByteSource& source, uint64_t begin, uint64_t end, ErrorCode past_end)
    : source_(source), position_(begin), end_(end), past_end_(past_end), window_begin_(begin) {
  if (begin > end || end > source.size()) {
    throw Error(past_end, "the file ends at byte " + std::to_string(source.size()) + ", wanted bytes " +
                              std::to_string(begin) + " to " + std::to_string(end))
        .at_offset(begin);
  }
}

uint8_t ByteStream::u8() {
  require(1);
  if (position_ - window_begin_ >= window_.size()) fill();
  return static_cast<uint8_t>(window_[static_cast<size_t>(position_++ - window_begin_)]);
}

std::string ByteStream::text(uint64_t length) {
  require(length);
  std::string text(checked_size(length), '\0');
  const uint64_t buffered = std::min<uint64_t>(length, window_begin_ + window_.size() - position_);
  std::copy_n(reinterpret_cast<const char*>(window_.data() + (position_ - window_begin_)), buffered, text.begin());
  if (length > buffered) {
    source_.read(position_ + buffered, std::as_writable_bytes(std::span(text).subspan(buffered)));
  }
  skip(length);
  return text;
}

std::string ByteStream::line(size_t limit) {
  std::string line;
  for (char c = static_cast<char>(u8()); c != '\n'; c = static_cast<char>(u8())) {
    if (line.size() == limit) throw Error(ErrorCode::format_corrupt, "a line is too long").at_offset(position_);
    line.push_back(c);
  }
  return line;
}

void ByteStream::skip(uint64_t length) {
  require(length);
  position_ += length;
  if (position_ - window_begin_ > window_.size()) {
    window_.clear();
    window_begin_ = position_;
  }
}

uint64_t ByteStream::little_endian(int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= uint64_t{u8()} << (8 * i);
  return value;
}

void ByteStream::require(uint64_t length) const {
  if (length > remaining()) {
    throw Error(past_end_, "wanted " + std::to_string(length) + " bytes at byte " + std::to_string(position_) +
                               ", but only " + std::to_string(remaining()) + " are left")
        .at_offset(position_);
  }
}

void ByteStream::fill() {
  window_.resize(static_cast<size_t>(std::min(kWindowBytes, remaining())));
  window_begin_ = position_;
  source_.read(position_, window_);
}

}  // namespace wimm
