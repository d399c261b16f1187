// The zip directory, its local headers, and the content of entries through zlib.
#include "weights/zip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>

#include "weights/bytes.h"
#include "weights/crc32.h"
#include "wimm/error.h"

namespace wimm {

namespace {

constexpr uint32_t kEndRecord = 0x06054B50, kZip64Locator = 0x07064B50, kZip64EndRecord = 0x06064B50;
constexpr uint32_t kDirectoryHeader = 0x02014B50, kLocalHeader = 0x04034B50;
constexpr uint64_t kEndRecordBytes = 22, kZip64LocatorBytes = 20, kLocalHeaderBytes = 30, kMaxCommentBytes = 0xFFFF;
constexpr uint16_t kEncrypted = 1 << 0, kDataDescriptor = 1 << 3, kStrongEncryption = 1 << 6, kMaskedHeader = 1 << 13;
constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint32_t kInZip64 = 0xFFFFFFFF;  // the value stands in the zip64 field
constexpr uint64_t kMaxDeflateRatio = 1032;
constexpr size_t kChunkBytes = 256 << 10;

Error corrupt(const std::string& message) { return Error(ErrorCode::format_corrupt, "zip archive: " + message); }

struct Directory {
  uint64_t begin = 0, end = 0, count = 0;
};

// The end record is the one whose comment reaches exactly to the end of the file. Two such records would let two
// readers see two different archives.
uint64_t find_end_record(const ByteSource& source) {
  const uint64_t tail_bytes = std::min(source.size(), kEndRecordBytes + kMaxCommentBytes);
  std::vector<std::byte> tail(static_cast<size_t>(tail_bytes));
  source.read(source.size() - tail_bytes, tail);
  const auto byte = [&](size_t i) { return std::to_integer<uint32_t>(tail[i]); };
  std::optional<uint64_t> found;
  for (size_t i = 0; i + kEndRecordBytes <= tail.size(); ++i) {
    const uint32_t signature = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    const uint64_t comment_bytes = byte(i + 20) | byte(i + 21) << 8;
    if (signature != kEndRecord || i + kEndRecordBytes + comment_bytes != tail.size()) continue;
    if (found) throw corrupt("it has two end records");
    found = source.size() - tail_bytes + i;
  }
  if (!found) {
    throw Error(ErrorCode::format_truncated, "zip archive: it has no end record; the download may be incomplete");
  }
  return *found;
}

// The zip64 end record, where a locator for one precedes the end record.
std::optional<Directory> find_zip64_directory(const ByteSource& source, uint64_t end_record) {
  if (end_record < kZip64LocatorBytes) return std::nullopt;
  ByteStream locator(source, end_record - kZip64LocatorBytes, end_record, ErrorCode::format_corrupt);
  if (locator.u32() != kZip64Locator) return std::nullopt;
  const uint32_t disk = locator.u32();
  const uint64_t record_offset = locator.u64();
  if (disk != 0 || locator.u32() > 1) throw Error(ErrorCode::format_unsupported, "zip archive: it spans several disks");
  ByteStream record(source, record_offset, end_record - kZip64LocatorBytes, ErrorCode::format_corrupt);
  if (record.u32() != kZip64EndRecord || record.u64() != record.remaining()) throw corrupt("bad zip64 end record");
  record.skip(4);  // versions
  const uint64_t disks = record.u64();
  const uint64_t count_here = record.u64(), count = record.u64(), bytes = record.u64(), begin = record.u64();
  if (disks != 0 || count_here != count) {
    throw Error(ErrorCode::format_unsupported, "zip archive: it spans several disks");
  }
  if (begin > record_offset || bytes != record_offset - begin)
    throw corrupt("its directory does not end at its end record");
  return Directory{begin, record_offset, count};
}

Directory find_directory(const ByteSource& source) {
  const uint64_t end_record = find_end_record(source);
  ByteStream record(source, end_record, source.size(), ErrorCode::format_corrupt);
  record.skip(4);  // signature
  const uint32_t disks = record.u32(), count_here = record.u16(), count = record.u16(), bytes = record.u32(),
                 begin = record.u32();
  const std::optional<Directory> zip64 = find_zip64_directory(source, end_record);
  if (zip64) return *zip64;
  if (disks != 0 || count_here != count) {
    throw Error(ErrorCode::format_unsupported, "zip archive: it spans several disks");
  }
  if (begin > end_record || bytes != end_record - begin) throw corrupt("its directory does not end at its end record");
  return {begin, end_record, count};
}

// Replaces the sizes and the offset that did not fit in 32 bits by those of the zip64 extra field.
void apply_extra_field(const std::string& extra, ZipEntry& entry) {
  const auto bytes = memory_source(std::as_bytes(std::span(extra)));
  for (ByteStream fields(*bytes, 0, extra.size(), ErrorCode::format_corrupt); fields.remaining() > 0;) {
    const uint16_t id = fields.u16(), length = fields.u16();
    const uint64_t begin = fields.position();
    ByteStream field(*bytes, begin, begin + length, ErrorCode::format_corrupt);
    if (id == 0x0001) {
      for (uint64_t* value : {&entry.size, &entry.compressed_size, &entry.header_offset}) {
        if (*value == kInZip64) *value = field.u64();
      }
    }
    fields.skip(length);
  }
}

ZipEntry read_directory_header(ByteStream& directory) {
  if (directory.u32() != kDirectoryHeader) throw corrupt("bad entry in its directory");
  ZipEntry entry;
  directory.skip(4);  // versions
  const uint16_t flags = directory.u16(), method = directory.u16();
  directory.skip(4);  // time
  entry.crc32 = directory.u32();
  entry.compressed_size = directory.u32();
  entry.size = directory.u32();
  const uint16_t name_bytes = directory.u16(), extra_bytes = directory.u16(), comment_bytes = directory.u16();
  directory.skip(2 + 2 + 4);  // disk, attributes
  entry.header_offset = directory.u32();
  entry.name = directory.text(name_bytes);
  apply_extra_field(directory.text(extra_bytes), entry);
  directory.skip(comment_bytes);

  if (flags & (kEncrypted | kStrongEncryption | kMaskedHeader)) {
    throw Error(ErrorCode::format_unsupported, "zip archive: entry " + quote(entry.name) + " is encrypted");
  }
  if (method != kStored && method != kDeflated) {
    throw Error(ErrorCode::format_unsupported, "zip archive: entry " + quote(entry.name) + " uses compression method " +
                                                   std::to_string(method) + "; only stored and deflate are supported");
  }
  entry.deflated = method == kDeflated;
  if (!entry.deflated && entry.compressed_size != entry.size) {
    throw corrupt("entry " + quote(entry.name) + " is stored, but its two sizes differ");
  }
  if (entry.deflated && entry.size / kMaxDeflateRatio > entry.compressed_size) {
    throw corrupt("entry " + quote(entry.name) + " declares more bytes than its deflate data can hold");
  }
  if (entry.name.find('\0') != std::string::npos) throw corrupt("entry name " + quote(entry.name) + " has a NUL");
  return entry;
}

void check_crc(const ZipEntry& entry, uint32_t crc) {
  if (entry.crc32 != 0 && entry.crc32 != crc) {
    throw Error(ErrorCode::integrity, "zip archive: the checksum of entry " + quote(entry.name) + " is wrong")
        .at_offset(entry.data_offset);
  }
}

// zlib's inflate over raw deflate data, its state freed at the end of the scope.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

// Inflates a whole entry, never writing beyond `out`: one spare byte tells a stream that is longer than declared.
void inflate_entry(const ByteSource& source, const ZipEntry& entry, std::span<std::byte> out) {
  Inflater inflater;
  z_stream& stream = inflater.stream();
  std::vector<std::byte> chunk(static_cast<size_t>(std::min<uint64_t>(kChunkBytes, entry.compressed_size)));
  std::byte spare;
  uint64_t consumed = 0;
  size_t produced = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const auto input = std::span(chunk).first(
          static_cast<size_t>(std::min<uint64_t>(chunk.size(), entry.compressed_size - consumed)));
      source.read(entry.data_offset + consumed, input);
      consumed += input.size();
      stream.next_in = reinterpret_cast<Bytef*>(input.data());
      stream.avail_in = static_cast<uInt>(input.size());
    }
    const auto rest = produced < out.size() ? out.subspan(produced) : std::span(&spare, 1);
    const uInt room = static_cast<uInt>(std::min(rest.size(), size_t{1} << 30));
    stream.next_out = reinterpret_cast<Bytef*>(rest.data());
    stream.avail_out = room;
    status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    produced += room - stream.avail_out;
    if ((status != Z_OK && status != Z_STREAM_END) || produced > out.size()) {
      throw corrupt("the deflate data of entry " + quote(entry.name) +
                    (status == Z_OK ? " is too long" : " is damaged"))
          .at_offset(entry.data_offset);
    }
  }
  if (produced != out.size() || stream.avail_in != 0 || consumed != entry.compressed_size) {
    throw corrupt("the deflate data of entry " + quote(entry.name) + " has not the size that it declares")
        .at_offset(entry.data_offset);
  }
}

}  // namespace

ZipArchive::ZipArchive(std::shared_ptr<const ByteSource> source, const ReadLimits& limits)
    : source_(std::move(source)) {
  const Directory directory = find_directory(*source_);
  if (directory.end - directory.begin > limits.header_bytes || directory.count > limits.tensors) {
    throw Error(ErrorCode::limit_exceeded, "zip archive: " + std::to_string(directory.count) +
                                               " entries in a directory of " +
                                               std::to_string(directory.end - directory.begin) + " bytes are too many");
  }
  read_directory(directory.begin, directory.end, directory.count, limits);
  for (ZipEntry& entry : entries_) check_local_header(entry, directory.begin);
  check_overlap();
}

void ZipArchive::read_directory(uint64_t begin, uint64_t end, uint64_t count, const ReadLimits& limits) {
  ByteStream directory(*source_, begin, end, ErrorCode::format_corrupt);
  uint64_t total = 0;
  for (uint64_t i = 0; i < count; ++i) {
    entries_.push_back(read_directory_header(directory));
    total = checked_add(total, entries_.back().size);
  }
  if (directory.remaining() > 0)
    throw corrupt("its directory is longer than its " + std::to_string(count) + " entries");
  if (total > limits.total_bytes) {
    throw Error(ErrorCode::limit_exceeded, "zip archive: its entries take " + std::to_string(total) +
                                               " bytes, the limit is " + std::to_string(limits.total_bytes));
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!by_name_.emplace(entries_[i].name, i).second)
      throw corrupt("two entries are named " + quote(entries_[i].name));
  }
}

void ZipArchive::check_local_header(ZipEntry& entry, uint64_t directory_begin) const {
  const uint64_t name_end = checked_add(checked_add(entry.header_offset, kLocalHeaderBytes), entry.name.size());
  if (name_end > directory_begin) throw corrupt("entry " + quote(entry.name) + " begins outside the archive");
  ByteStream header(*source_, entry.header_offset, name_end, ErrorCode::format_corrupt);
  const bool signature_agrees = header.u32() == kLocalHeader;
  header.skip(2);  // version
  const uint16_t flags = header.u16(), method = header.u16();
  header.skip(4);  // time
  const uint32_t crc = header.u32(), compressed_size = header.u32(), size = header.u32();
  const uint16_t name_bytes = header.u16(), extra_bytes = header.u16();
  const auto agrees = [](uint32_t local, uint64_t central) { return local == kInZip64 || local == central; };
  const bool sizes_agree =
      (flags & kDataDescriptor) != 0 ||
      (crc == entry.crc32 && agrees(compressed_size, entry.compressed_size) && agrees(size, entry.size));
  if (!signature_agrees || method != (entry.deflated ? kDeflated : kStored) || !sizes_agree ||
      name_bytes != entry.name.size() || header.text(name_bytes) != entry.name) {
    throw corrupt("the local header of entry " + quote(entry.name) + " disagrees with the directory")
        .at_offset(entry.header_offset);
  }
  entry.data_offset = name_end + extra_bytes;
  if (entry.data_offset > directory_begin || entry.compressed_size > directory_begin - entry.data_offset) {
    throw corrupt("entry " + quote(entry.name) + " ends outside the archive").at_offset(entry.header_offset);
  }
}

void ZipArchive::check_overlap() const {
  std::vector<const ZipEntry*> in_order;
  for (const ZipEntry& entry : entries_) in_order.push_back(&entry);
  std::ranges::sort(in_order, {}, &ZipEntry::header_offset);
  for (size_t i = 1; i < in_order.size(); ++i) {
    const ZipEntry& previous = *in_order[i - 1];
    if (in_order[i]->header_offset < previous.data_offset + previous.compressed_size) {
      throw corrupt("entries " + quote(previous.name) + " and " + quote(in_order[i]->name) + " overlap")
          .at_offset(in_order[i]->header_offset);
    }
  }
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

void ZipArchive::read(const ZipEntry& entry, uint64_t offset, std::span<std::byte> out) const {
  if (offset > entry.size || out.size() > entry.size - offset) {
    throw corrupt("entry " + quote(entry.name) + " has only " + std::to_string(entry.size) + " bytes");
  }
  const bool whole = out.size() == entry.size;
  if (entry.deflated && !whole) {
    const auto part = std::span(inflated(entry)).subspan(static_cast<size_t>(offset), out.size());
    std::ranges::copy(part, out.begin());
    return;
  }
  if (entry.deflated) {
    inflate_entry(*source_, entry, out);
  } else {
    if (!whole) verify_stored(entry);
    source_->read(entry.data_offset + offset, out);
  }
  if (whole) check_crc(entry, crc32_of(out));
}

void ZipArchive::verify_stored(const ZipEntry& entry) const {
  if (entry.crc32 == 0 || verified_.contains(&entry)) return;
  std::vector<std::byte> buffer(static_cast<size_t>(std::min<uint64_t>(kChunkBytes, entry.size)));
  uint32_t crc = 0;
  for (uint64_t done = 0; done < entry.size;) {
    const auto chunk =
        std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), entry.size - done)));
    source_->read(entry.data_offset + done, chunk);
    crc = crc32_of(chunk, crc);
    done += chunk.size();
  }
  check_crc(entry, crc);
  verified_.insert(&entry);
}

const std::vector<std::byte>& ZipArchive::inflated(const ZipEntry& entry) const {
  const auto found = inflated_.find(&entry);
  if (found != inflated_.end()) return found->second;
  std::vector<std::byte> content(checked_size(entry.size));
  read(entry, 0, content);
  return inflated_.emplace(&entry, std::move(content)).first->second;
}

}  // namespace wimm
