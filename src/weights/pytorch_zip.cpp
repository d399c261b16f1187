// Reader of torch.save's zip format: <root>/data.pkl, and one entry <root>/data/<key> for each storage.
#include <algorithm>

#include "weights/bytes.h"
#include "weights/formats.h"
#include "weights/pytorch.h"
#include "weights/zip.h"
#include "wimm/error.h"

namespace wimm {

namespace {

// The folder that holds data.pkl, with its slash.
std::string find_root(const ZipArchive& archive) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::string root;
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.name.size() <= kPickle.size() || entry.name.find('/') != entry.name.size() - kPickle.size() ||
        !entry.name.ends_with(kPickle)) {
      continue;
    }
    if (!root.empty()) throw Error(ErrorCode::format_corrupt, "the archive has two folders with a data.pkl");
    root = entry.name.substr(0, entry.name.size() - kPickle.size() + 1);
  }
  if (!root.empty()) return root;
  if (std::ranges::any_of(archive.entries(), [](const ZipEntry& entry) { return entry.name.ends_with(".npy"); })) {
    throw Error(ErrorCode::format_unsupported, "this is a NumPy archive (.npz), not a PyTorch checkpoint");
  }
  throw Error(ErrorCode::format_corrupt, "the zip archive has no data.pkl, so it is not a PyTorch checkpoint");
}

std::vector<std::byte> read_entry(const ZipArchive& archive, const ZipEntry& entry, uint64_t limit) {
  if (entry.size > limit) {
    throw Error(ErrorCode::limit_exceeded, quote(entry.name) + " has " + std::to_string(entry.size) +
                                               " bytes, the limit is " + std::to_string(limit));
  }
  std::vector<std::byte> content(checked_size(entry.size));
  archive.read(entry, 0, content);
  return content;
}

void check_kind(const ZipArchive& archive, const std::string& root) {
  if (archive.find(root + "constants.pkl") != nullptr) {
    throw Error(ErrorCode::format_unsupported, "this is a TorchScript archive; save the model's state_dict() instead");
  }
  const ZipEntry* byteorder = archive.find(root + "byteorder");
  if (byteorder == nullptr) return;
  const std::vector<std::byte> content = read_entry(archive, *byteorder, 16);
  const std::string_view order(reinterpret_cast<const char*>(content.data()), content.size());
  if (order == "big") throw Error(ErrorCode::format_unsupported, "the checkpoint is big-endian");
  if (order != "little") throw Error(ErrorCode::format_corrupt, "the checkpoint's byte order is " + quote(order));
}

}  // namespace

std::unique_ptr<StateDict> open_pytorch_zip(std::shared_ptr<const ByteSource> source, const ReadLimits& limits,
                                            const std::optional<std::string>& key) {
  const auto archive = std::make_shared<const ZipArchive>(std::move(source), limits);
  const std::string root = find_root(*archive);
  check_kind(*archive, root);

  const std::vector<std::byte> content = read_entry(*archive, *archive->find(root + "data.pkl"), limits.header_bytes);
  const auto pickle_source = memory_source(content);
  ByteStream stream(*pickle_source, 0, content.size());
  const pickle::Object object = pickle::load(stream, limits);
  if (stream.remaining() > 0) throw Error(ErrorCode::format_corrupt, "data.pkl goes on after its pickle");

  std::vector<const ZipEntry*> records;
  for (const pickle::Storage& storage : object.storages) {
    const ZipEntry* record = archive->find(root + "data/" + storage.key);
    if (record == nullptr) throw Error(ErrorCode::format_corrupt, "the archive has no storage " + quote(storage.key));
    if (record->size != byte_count(storage)) {
      throw Error(ErrorCode::format_corrupt, "storage " + quote(storage.key) + " has " + std::to_string(record->size) +
                                                 " bytes, wanted " + std::to_string(byte_count(storage)));
    }
    records.push_back(record);
  }
  const auto read_storage = [archive, records](size_t storage, uint64_t offset, std::span<std::byte> out) {
    archive->read(*records[storage], offset, out);
  };
  return std::make_unique<PytorchStateDict>("pytorch", object, read_storage, limits, key);
}

}  // namespace wimm
