// The committed corpora, run through their targets without a fuzzer.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace wimm::fuzz {

// Gives the number of inputs.
inline size_t replay(const std::string& target, const std::function<void(std::span<const std::byte>)>& run) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WIMM_SOURCE_DIR "/tests/fuzz/corpus/" + target)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::vector<char> content(std::istreambuf_iterator<char>(stream), {});
    run(std::as_bytes(std::span(content)));
    ++count;
  }
  return count;
}

}  // namespace wimm::fuzz
