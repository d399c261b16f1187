// Four lanes at a time: most checksums are made of fresh code, which an engine compiles as it is written.
#include "weights/checksum.h"

#include <cstring>

namespace wimm {
namespace {

using Lanes [[gnu::vector_size(16)]] = uint32_t;

}  // namespace

void Checksum::add(std::span<const std::byte> bytes) {
  Lanes lane_sum{}, lane_sum_of_sums{};
  const size_t whole = bytes.size() / sizeof(Lanes) * sizeof(Lanes);
  for (const std::byte *at = bytes.data(), *const end = at + whole; at != end; at += sizeof(Lanes)) {
    Lanes words;
    std::memcpy(&words, at, sizeof words);
    lane_sum += words;
    lane_sum_of_sums += lane_sum;
  }
  // The sums of lane l have counted each word of it four times too few in all, but for the l lanes before it.
  sum_of_sums += static_cast<uint32_t>(whole / sizeof sum) * sum;
  for (uint32_t lane = 0; lane < 4; ++lane) {
    sum_of_sums += 4 * lane_sum_of_sums[lane] - lane * lane_sum[lane];
    sum += lane_sum[lane];
  }
  const auto add_word = [&](uint32_t word) {
    sum += word;
    sum_of_sums += sum;
  };
  std::span<const std::byte> rest = bytes.subspan(whole);
  for (; rest.size() >= sizeof sum; rest = rest.subspan(sizeof sum)) {
    uint32_t word;
    std::memcpy(&word, rest.data(), sizeof word);
    add_word(word);
  }
  for (const std::byte byte : rest) add_word(static_cast<uint32_t>(byte));
}

}  // namespace wimm
