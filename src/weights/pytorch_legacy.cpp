// Reader of torch.save's format before PyTorch 1.6: five pickles (magic number, protocol, system, object, storage
// keys), then each storage as an element count in 8 bytes and its data.
#include <algorithm>

#include "weights/bytes.h"
#include "weights/formats.h"
#include "weights/pytorch.h"
#include "wimm/error.h"

namespace wimm {

namespace {

// 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kProtocol = 1001;

void check_magic(ByteStream& stream, const ReadLimits& limits) {
  const pickle::Object object = pickle::load(stream, limits);
  const auto* magic = object.get<pickle::BigInteger>(object.root);
  if (magic == nullptr || magic->bytes != kMagic) {
    throw Error(ErrorCode::format_unknown, "the file is a pickle, but not a PyTorch checkpoint");
  }
}

void check_protocol(ByteStream& stream, const ReadLimits& limits) {
  const pickle::Object object = pickle::load(stream, limits);
  const auto* protocol = object.get<int64_t>(object.root);
  if (protocol == nullptr || *protocol != kProtocol) {
    throw Error(ErrorCode::format_unsupported, "the checkpoint's protocol is not " + std::to_string(kProtocol));
  }
}

void check_system(ByteStream& stream, const ReadLimits& limits) {
  const pickle::Object object = pickle::load(stream, limits);
  const auto* system = object.get<pickle::Dict>(object.root);
  const auto ref = system ? object.find(*system, "little_endian") : std::nullopt;
  const bool* little_endian = ref ? object.get<bool>(*ref) : nullptr;
  if (little_endian == nullptr) throw Error(ErrorCode::format_corrupt, "the checkpoint does not say its byte order");
  if (!*little_endian) throw Error(ErrorCode::format_unsupported, "the checkpoint is big-endian");
}

// The storages in the order in which the file holds them, as indices into `storages`: each exactly once.
std::vector<size_t> read_order(ByteStream& stream, const std::vector<pickle::Storage>& storages,
                               const ReadLimits& limits) {
  const pickle::Object object = pickle::load(stream, limits);
  const auto* keys = object.get<pickle::List>(object.root);
  std::unordered_map<std::string_view, size_t> unread;
  for (size_t i = 0; i < storages.size(); ++i) unread.emplace(storages[i].key, i);
  std::vector<size_t> order;
  for (size_t i = 0; keys != nullptr && i < keys->items.size(); ++i) {
    const auto* key = object.get<std::string>(keys->items[i]);
    const auto found = key ? unread.find(*key) : unread.end();
    if (found == unread.end())
      throw Error(ErrorCode::format_corrupt, "the list of storage keys has a wrong or repeated one");
    order.push_back(found->second);
    unread.erase(found);
  }
  if (keys == nullptr || !unread.empty())
    throw Error(ErrorCode::format_corrupt, "the list of storage keys is incomplete");
  return order;
}

// Where the data of each storage begins in the file. The storages must end where the file ends.
std::vector<uint64_t> find_storages(const ByteSource& source, uint64_t position, const std::vector<size_t>& order,
                                    const std::vector<pickle::Storage>& storages) {
  constexpr uint64_t kCountBytes = 8;
  std::vector<uint64_t> offsets(storages.size());
  for (const size_t index : order) {
    const pickle::Storage& storage = storages[index];
    if (source.size() - position < kCountBytes) {
      throw Error(ErrorCode::format_truncated, "the file ends before storage " + quote(storage.key))
          .at_offset(position);
    }
    const uint64_t count = ByteStream(source, position, position + kCountBytes).u64();
    if (count != storage.size) {
      throw Error(ErrorCode::format_corrupt, "storage " + quote(storage.key) + " has " + std::to_string(count) +
                                                 " elements, wanted " + std::to_string(storage.size))
          .at_offset(position);
    }
    position += kCountBytes;
    offsets[index] = position;
    if (byte_count(storage) > source.size() - position) {
      throw Error(ErrorCode::format_truncated, "the file ends inside storage " + quote(storage.key))
          .at_offset(position);
    }
    position += byte_count(storage);
  }
  if (position != source.size()) {
    throw Error(ErrorCode::format_corrupt, "the file goes on after its last storage").at_offset(position);
  }
  return offsets;
}

}  // namespace

std::unique_ptr<StateDict> open_pytorch_legacy(std::shared_ptr<const ByteSource> source, const ReadLimits& limits,
                                               const std::optional<std::string>& key) {
  ByteStream stream(*source, 0, source->size());
  check_magic(stream, limits);
  check_protocol(stream, limits);
  check_system(stream, limits);
  const pickle::Object object = pickle::load(stream, limits);
  const std::vector<size_t> order = read_order(stream, object.storages, limits);
  const std::vector<uint64_t> offsets = find_storages(*source, stream.position(), order, object.storages);
  const auto read_storage = [source, offsets](size_t storage, uint64_t offset, std::span<std::byte> out) {
    source->read(offsets[storage] + offset, out);
  };
  return std::make_unique<PytorchStateDict>("pytorch-legacy", object, read_storage, limits, key);
}

}  // namespace wimm
