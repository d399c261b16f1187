// The readers of weight files.
#include <memory>
#include <numeric>
#include <vector>

#include "fuzz/targets.h"
#include "weights/bytes.h"
#include "weights/formats.h"
#include "weights/pack.h"
#include "weights/pytorch.h"
#include "weights/zip.h"
#include "wimm/error.h"

namespace wimm::fuzz {

namespace {

// A tensor has the bytes that its shape says, and may be read again.
void read_all(const StateDict& state_dict) {
  for (size_t i = 0; i < state_dict.tensors().size(); ++i) {
    const TensorInfo& info = state_dict.tensors()[i];
    const Tensor tensor = state_dict.read(i);
    require(tensor.dtype == info.dtype && tensor.shape == info.shape);
    require(tensor.data.size() == checked_byte_count(info.dtype, info.shape, limits));
    require(state_dict.read(i).data == tensor.data);
  }
}

// An error quotes at most 200 characters of each name, of at most 8 bytes each where they are escaped.
constexpr size_t longest_message = 4000;

template <typename Open>
void open_and_read(std::span<const std::byte> bytes, const Open& open) {
  try {
    read_all(*open(memory_source(bytes)));
  } catch (const Error& error) {
    require(!code_name(error.code()).empty() && std::string_view(error.what()).size() < longest_message);
  }
}

// All of an entry, then its second half.
void read_entries(const ZipArchive& archive) {
  for (const ZipEntry& entry : archive.entries()) {
    require(archive.find(entry.name) == &entry);
    try {
      std::vector<std::byte> content(checked_size(entry.size));
      archive.read(entry, 0, content);
      std::vector<std::byte> half(content.size() - content.size() / 2);
      archive.read(entry, content.size() / 2, half);
      require(std::equal(half.begin(), half.end(), content.end() - static_cast<std::ptrdiff_t>(half.size())));
    } catch (const Error&) {
    }
  }
}

// Storages of the right size, of bytes that tell their place.
std::unique_ptr<StateDict> open_pickle(std::span<const std::byte> bytes) {
  const auto source = memory_source(bytes);
  ByteStream stream(*source, 0, bytes.size());
  const pickle::Object object = pickle::load(stream, limits);
  for (const pickle::Storage& storage : object.storages) {
    if (byte_count(storage) > limits.total_bytes) throw Error(ErrorCode::limit_exceeded, "a large storage");
  }
  const auto read_storage = [storages = object.storages](size_t storage, uint64_t offset, std::span<std::byte> out) {
    require(offset <= byte_count(storages[storage]) && out.size() <= byte_count(storages[storage]) - offset);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(offset + i);
  };
  return std::make_unique<PytorchStateDict>("pickle", object, read_storage, limits, std::nullopt);
}

}  // namespace

void safetensors(std::span<const std::byte> bytes) {
  open_and_read(bytes, [](const auto& source) { return open_safetensors(source, limits); });
}

void zip(std::span<const std::byte> bytes) {
  try {
    read_entries(ZipArchive(memory_source(bytes), limits));
  } catch (const Error&) {
    return;
  }
  open_and_read(bytes, [](const auto& source) { return open_pytorch_zip(source, limits, std::nullopt); });
}

void pickle(std::span<const std::byte> bytes) {
  open_and_read(bytes, [&](const auto&) { return open_pickle(bytes); });
}

void legacy(std::span<const std::byte> bytes) {
  open_and_read(bytes, [](const auto& source) { return open_pytorch_legacy(source, limits, std::nullopt); });
}

void pack(std::span<const std::byte> bytes) {
  open_and_read(bytes, [](const auto& source) { return std::make_unique<Pack>(source, limits); });
}

void repack(std::span<const std::byte> bytes) {
  std::unique_ptr<StateDict> original;
  PackContents contents{"model", "{}", {}, {}};
  std::vector<std::byte> file;
  try {
    original = load_state_dict(memory_source(bytes), limits);
    contents.tensors = original->tensors();
    contents.read = [&](size_t index) { return original->read(index); };
    write_pack(contents, [&](std::span<const std::byte> part) { file.insert(file.end(), part.begin(), part.end()); });
  } catch (const Error&) {
    return;
  }
  for (const TensorInfo& info : contents.tensors) {
    if (info.name.empty()) return;  // a pack's tensors are named
  }
  const Pack copy(memory_source(file), limits);
  require(copy.tensors().size() == contents.tensors.size());
  for (size_t i = 0; i < copy.tensors().size(); ++i) {
    const Tensor tensor = copy.read(i), wanted = original->read(i);
    require(copy.tensors()[i].name == contents.tensors[i].name);
    require(tensor.dtype == wanted.dtype && tensor.shape == wanted.shape && tensor.data == wanted.data);
  }
}

}  // namespace wimm::fuzz
