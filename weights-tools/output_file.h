// A file that appears under its name only once it is whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace wimm {

// Writes to a temporary file beside `path`, which `commit` puts in its place. Without `commit` the temporary file is
// removed and whatever was at `path` stays. Failures are std::runtime_error.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail() const;

  std::string path_, temporary_path_;
  int descriptor_;
};

}  // namespace wimm
