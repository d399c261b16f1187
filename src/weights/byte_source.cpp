// Byte sources over memory and over a file on disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wimm/error.h"
#include "wimm/weights.h"

namespace wimm {

namespace {

void require_range(uint64_t offset, uint64_t length, uint64_t size) {
  if (offset > size || length > size - offset) {
    throw Error(ErrorCode::format_truncated, "wanted " + std::to_string(length) + " bytes at byte " +
                                                 std::to_string(offset) + " of a source of " + std::to_string(size))
        .at_offset(offset);
  }
}

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t size() const override { return bytes_.size(); }

  void read(uint64_t offset, std::span<std::byte> out) const override {
    require_range(offset, out.size(), size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

 private:
  std::span<const std::byte> bytes_;
};

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat status;
    if (descriptor_ < 0 || fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      const std::string reason = descriptor_ < 0 ? std::strerror(errno) : "not a regular file";
      if (descriptor_ >= 0) close(descriptor_);
      throw Error(ErrorCode::invalid_argument, "cannot open " + quote(path) + ": " + reason);
    }
    size_ = static_cast<uint64_t>(status.st_size);
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override { close(descriptor_); }

  uint64_t size() const override { return size_; }

  void read(uint64_t offset, std::span<std::byte> out) const override {
    require_range(offset, out.size(), size_);
    while (!out.empty()) {
      const ssize_t got = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        throw Error(ErrorCode::format_truncated,
                    "cannot read " + quote(path_) + ": " + (got < 0 ? std::strerror(errno) : "the file has shrunk"))
            .at_offset(offset);
      }
      offset += static_cast<uint64_t>(got);
      out = out.subspan(static_cast<size_t>(got));
    }
  }

 private:
  std::string path_;
  int descriptor_;
  uint64_t size_ = 0;
};

}  // namespace

std::shared_ptr<const ByteSource> memory_source(std::span<const std::byte> bytes) {
  return std::make_shared<MemorySource>(bytes);
}

std::shared_ptr<const ByteSource> file_source(const std::string& path) { return std::make_shared<FileSource>(path); }

}  // namespace wimm
