// Reader of zip archives, as strict as a format that two programs may read differently has to be.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "wimm/weights.h"

namespace wimm {

struct ZipEntry {
  std::string name;
  uint64_t header_offset = 0, data_offset = 0;
  uint64_t compressed_size = 0, size = 0;
  uint32_t crc32 = 0;  // 0 where the writer did not compute it, as torch.serialization.set_crc32_options(False) asks
  bool deflated = false;
};

// The directory is read and checked at once: it fills the space before the end record, holds as many entries as the end
// record says, no name twice, no two entries over the same bytes, and agrees with every local header.
class ZipArchive {
 public:
  // Errors: format_truncated, format_corrupt, format_unsupported (encryption, methods other than stored and deflated,
  // several disks), limit_exceeded.
  ZipArchive(std::shared_ptr<const ByteSource> source, const ReadLimits& limits);
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;

  // Reads out.size() bytes of an entry's content from `offset`. The entry's checksum is verified at its first read.
  // Errors: format_corrupt, integrity.
  void read(const ZipEntry& entry, uint64_t offset, std::span<std::byte> out) const;

 private:
  void read_directory(uint64_t begin, uint64_t end, uint64_t count, const ReadLimits& limits);
  void check_local_header(ZipEntry& entry, uint64_t directory_begin) const;
  void check_overlap() const;
  void verify_stored(const ZipEntry& entry) const;
  const std::vector<std::byte>& inflated(const ZipEntry& entry) const;

  std::shared_ptr<const ByteSource> source_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> by_name_;
  // What reads of parts of an entry leave for the next one.
  mutable std::unordered_set<const ZipEntry*> verified_;
  mutable std::unordered_map<const ZipEntry*, std::vector<std::byte>> inflated_;
};

}  // namespace wimm
