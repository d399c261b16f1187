// Temporary file, fsync, rename.
#include "output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace wimm {

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + "." + std::to_string(getpid()) + ".tmp") {
  if (std::filesystem::exists(path_) && !std::filesystem::is_regular_file(path_)) {
    throw std::runtime_error(path_ + " is not a regular file");
  }
  descriptor_ = open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail();
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_path_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::commit() {
  if (fsync(descriptor_) != 0 || std::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail();
  close(std::exchange(descriptor_, -1));
  // The new name itself lasts once the folder is on disk; some file systems cannot do that, and then it is as good as
  // done.
  const std::string folder = std::filesystem::absolute(path_).parent_path();
  const int folder_descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  fsync(folder_descriptor);
  close(folder_descriptor);
}

void OutputFile::fail() const { throw std::system_error(errno, std::generic_category(), "cannot write " + path_); }

}  // namespace wimm
