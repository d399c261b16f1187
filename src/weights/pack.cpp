// The wimm pack: verified metadata, then aligned tensor data with a checksum for each tensor.
#include "weights/pack.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "pack_generated.h"
#include "weights/bytes.h"
#include "weights/crc32.h"
#include "weights/formats.h"
#include "wimm/error.h"

namespace wimm {

namespace {

constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlignment = 64;
constexpr uint64_t kEncodings = 1;  // of required_features
constexpr uint64_t kPrefixBytes = sizeof(flatbuffers::uoffset_t);

static_assert(static_cast<int>(pack::Encoding::MAX) == static_cast<int>(Encoding::int8_rows),
              "the schema lists Encoding");
static_assert(static_cast<int>(pack::DType::MAX) == static_cast<int>(DType::boolean), "the schema lists wimm::DType");

Error corrupt(const std::string& message) { return Error(ErrorCode::format_corrupt, "wimm pack: " + message); }

uint64_t align(uint64_t offset) { return checked_add(offset, kAlignment - 1) / kAlignment * kAlignment; }

// The size-prefixed metadata, verified.
std::string read_metadata(const ByteSource& source, const ReadLimits& limits) {
  const uint64_t length = ByteStream(source, 0, kPrefixBytes).u32();
  // Below the limit the length also suits the verifier, which only asserts its own.
  if (length > std::min<uint64_t>(limits.header_bytes, FLATBUFFERS_MAX_BUFFER_SIZE / 2)) {
    throw Error(ErrorCode::limit_exceeded, "wimm pack: its metadata claims " + std::to_string(length) + " bytes");
  }
  std::string metadata = ByteStream(source, 0, source.size()).text(kPrefixBytes + length);
  flatbuffers::Verifier::Options options;
  options.max_depth = 16;
  options.max_tables = 100'000;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(metadata.data()), metadata.size(), options);
  if (!pack::VerifySizePrefixedPackBuffer(verifier)) throw corrupt("its metadata is not a valid flatbuffer");
  return metadata;
}

TensorInfo read_info(const pack::Tensor& tensor) {
  TensorInfo info{tensor.name()->str(), DType::float32, Shape(tensor.shape()->size())};
  // Copied bytewise: the verifier leaves it open whether the elements of a vector are aligned.
  if (!info.shape.empty()) std::memcpy(info.shape.data(), tensor.shape()->Data(), info.shape.size() * sizeof(int64_t));
  if (info.name.empty() || !is_utf8(info.name)) throw corrupt("a tensor's name is empty or not UTF-8");
  if (tensor.dtype() > pack::DType::MAX) {
    throw Error(ErrorCode::format_unsupported, "wimm pack: a tensor has an unknown dtype").in_tensor(info.name);
  }
  info.dtype = static_cast<DType>(tensor.dtype());
  return info;
}

Encoding read_encoding(const pack::Tensor& tensor, const TensorInfo& info) {
  if (tensor.encoding() > pack::Encoding::MAX) {
    throw Error(ErrorCode::format_unsupported, "wimm pack: a tensor has an unknown encoding").in_tensor(info.name);
  }
  const auto encoding = static_cast<Encoding>(tensor.encoding());
  if (encoding == Encoding::int8_rows && (info.dtype != DType::float32 || info.shape.empty())) {
    throw corrupt("a tensor cannot have its encoding").in_tensor(info.name);
  }
  return encoding;
}

// Bytes that a tensor takes in the file.
uint64_t stored_bytes(const TensorInfo& info, Encoding encoding, const ReadLimits& limits) {
  const uint64_t bytes = checked_byte_count(info.dtype, info.shape, limits);
  if (encoding == Encoding::plain) return bytes;
  return checked_add(bytes / sizeof(float), static_cast<uint64_t>(info.shape[0]) * sizeof(float));
}

std::vector<std::byte> encode(const Tensor& tensor, Encoding encoding) {
  if (encoding == Encoding::plain) return tensor.data;
  const std::vector<float> values = to_float32(tensor);
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const size_t columns = rows == 0 ? 0 : values.size() / rows;
  std::vector<float> scales(rows);
  std::vector<int8_t> elements(values.size());
  for (size_t r = 0; r < rows; ++r)
    scales[r] = round_to_int8(std::span(values).subspan(r * columns, columns),
                              std::span(elements).subspan(r * columns, columns));
  std::vector<std::byte> bytes(std::as_bytes(std::span(scales)).begin(), std::as_bytes(std::span(scales)).end());
  const auto more = std::as_bytes(std::span(elements));
  bytes.insert(bytes.end(), more.begin(), more.end());
  return bytes;
}

Tensor decode(std::span<const std::byte> bytes, const TensorInfo& info) {
  Tensor tensor = allocate(info);
  const auto rows = static_cast<size_t>(info.shape[0]);
  const size_t columns = rows == 0 ? 0 : tensor.data.size() / sizeof(float) / rows;
  const std::span elements = bytes.subspan(rows * sizeof(float));
  for (size_t r = 0; r < rows; ++r) {
    float scale;
    std::memcpy(&scale, &bytes[r * sizeof scale], sizeof scale);
    for (size_t i = r * columns; i < (r + 1) * columns; ++i) {
      const float value = scale * static_cast<float>(static_cast<int8_t>(elements[i]));
      std::memcpy(&tensor.data[i * sizeof value], &value, sizeof value);
    }
  }
  return tensor;
}

// Metadata with its prefix. The offsets in it are relative to the data, so they do not depend on its own length.
flatbuffers::DetachedBuffer build_metadata(const PackContents& contents) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<pack::Tensor>> tensors;
  uint64_t end = 0, features = 0;
  for (size_t i = 0; i < contents.tensors.size(); ++i) {
    const TensorInfo& info = contents.tensors[i];
    const Encoding encoding = contents.encodings.empty() ? Encoding::plain : contents.encodings[i];
    if (encoding != Encoding::plain) features = kEncodings;
    const std::vector<std::byte> data = encode(contents.read(i), encoding);
    const uint64_t offset = align(end);
    const auto name = builder.CreateString(info.name);
    const auto shape = builder.CreateVector(info.shape);
    tensors.push_back(pack::CreateTensor(builder, name, static_cast<pack::DType>(info.dtype), shape, offset,
                                         data.size(), crc32_of(data), static_cast<pack::Encoding>(encoding)));
    end = checked_add(offset, data.size());
  }
  const auto model = builder.CreateString(contents.model);
  const auto cfg = builder.CreateString(contents.cfg);
  const auto list = builder.CreateVector(tensors);
  pack::FinishSizePrefixedPackBuffer(builder, pack::CreatePack(builder, kVersion, features, model, cfg, list, end));
  return builder.Release();
}

}  // namespace

Pack::Pack(std::shared_ptr<const ByteSource> source, const ReadLimits& limits) : source_(std::move(source)) {
  const std::string metadata = read_metadata(*source_, limits);
  const pack::Pack& pack = *pack::GetSizePrefixedPack(metadata.data());
  version_ = pack.version();
  if (version_ != kVersion || (pack.required_features() & ~kEncodings) != 0) {
    throw Error(ErrorCode::format_unsupported, "wimm pack: it is of version " + std::to_string(version_) +
                                                   " or needs features that this wimm does not have");
  }
  model_ = pack.model()->str();
  cfg_ = pack.cfg()->str();

  if (pack.tensors()->size() > limits.tensors) {
    throw Error(ErrorCode::limit_exceeded, "wimm pack: it has " + std::to_string(pack.tensors()->size()) + " tensors");
  }
  const uint64_t data_begin = align(metadata.size());
  std::unordered_set<std::string_view> names;
  uint64_t end = 0;  // of the previous tensor, in the data
  for (const pack::Tensor* tensor : *pack.tensors()) {
    tensors_.push_back(read_info(*tensor));
    const TensorInfo& info = tensors_.back();
    if (!names.insert(tensor->name()->string_view()).second) throw corrupt("two tensors are named " + quote(info.name));
    const Encoding encoding = read_encoding(*tensor, info);
    if (tensor->offset() != align(end) || tensor->length() != stored_bytes(info, encoding, limits)) {
      throw corrupt("a tensor does not lie where it should").in_tensor(info.name);
    }
    places_.push_back({checked_add(data_begin, tensor->offset()), tensor->length(), tensor->crc32(), encoding});
    end = checked_add(tensor->offset(), tensor->length());
  }
  check_limits(tensors_, limits);
  if (pack.data_length() != end) throw corrupt("its tensors do not fill its data");
  const uint64_t size = checked_add(data_begin, end);
  if (source_->size() != size) {
    throw Error(
        source_->size() < size ? ErrorCode::format_truncated : ErrorCode::format_corrupt,
        "wimm pack: the file has " + std::to_string(source_->size()) + " bytes, wanted " + std::to_string(size));
  }
}

Tensor Pack::read(size_t index) const {
  const TensorInfo& info = tensors_.at(index);
  const Place& place = places_[index];
  Tensor tensor{info.dtype, info.shape, std::vector<std::byte>(static_cast<size_t>(place.length))};
  source_->read(place.offset, tensor.data);
  if (crc32_of(tensor.data) != place.crc32) {
    throw Error(ErrorCode::integrity, "wimm pack: the checksum of tensor " + quote(info.name) + " is wrong")
        .in_tensor(info.name)
        .at_offset(place.offset);
  }
  if (place.encoding == Encoding::int8_rows) return decode(tensor.data, info);
  return tensor;
}

void write_pack(const PackContents& contents, const std::function<void(std::span<const std::byte>)>& write) {
  constexpr std::byte kZeros[kAlignment] = {};
  const flatbuffers::DetachedBuffer metadata = build_metadata(contents);
  uint64_t end = 0;
  const auto write_aligned = [&](std::span<const std::byte> bytes) {
    write(std::span(kZeros).first(static_cast<size_t>(align(end) - end)));
    write(bytes);
    end = align(end) + bytes.size();
  };
  write_aligned(std::as_bytes(std::span(metadata.data(), metadata.size())));
  for (size_t i = 0; i < contents.tensors.size(); ++i) {
    write_aligned(encode(contents.read(i), contents.encodings.empty() ? Encoding::plain : contents.encodings[i]));
  }
  if (contents.tensors.empty()) write_aligned({});
}

}  // namespace wimm
