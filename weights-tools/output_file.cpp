// Temporary file, fsync, rename.
#include "output_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace wimm {
namespace {

constexpr std::string_view temporary_suffix = ".tmp";

// Removes what writers of `path` left behind that were killed: "<path>.<process>.tmp".
void remove_abandoned(const std::filesystem::path& path) {
  const std::string prefix = path.filename().string() + ".";
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::absolute(path).parent_path(), ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix) || !name.ends_with(temporary_suffix)) continue;
    const char* end = name.data() + name.size() - temporary_suffix.size();
    pid_t writer = 0;
    if (std::from_chars(name.data() + prefix.size(), end, writer).ptr != end || writer <= 0) continue;
    const bool alive = writer != getpid() && (kill(writer, 0) == 0 || errno != ESRCH);
    if (!alive) std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + "." + std::to_string(getpid()) + std::string(temporary_suffix)) {
  if (std::filesystem::exists(path_) && !std::filesystem::is_regular_file(path_)) {
    throw std::runtime_error(path_ + " is not a regular file");
  }
  remove_abandoned(path_);
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
