// Decisions read off a fuzzer's bytes; zeros once they are used up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace wimm::fuzz {

class Choices {
 public:
  explicit Choices(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = static_cast<uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  bool flag() { return (byte() & 1) != 0; }
  // One of 0 … count - 1.
  size_t below(size_t count) { return (byte() | static_cast<size_t>(byte()) << 8) % count; }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<size_t>(high - low + 1)));
  }
  // Mostly small, now and then one on which arithmetic fails.
  int64_t size(int64_t largest) {
    constexpr std::array<int64_t, 8> kHostile = {
        -1, 0, INT64_MAX, INT64_MIN, 1 << 30, int64_t{1} << 32, 65'536, int64_t{1} << 62};
    const uint8_t choice = byte();
    return choice < 240 ? 1 + choice % largest : kHostile[choice % kHostile.size()];
  }
  template <typename T, size_t N>
  T of(const std::array<T, N>& values) {
    return values[below(N)];
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace wimm::fuzz
