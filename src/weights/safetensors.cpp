// Reader of safetensors: an 8-byte header length, a JSON header, and the tensors' bytes.
// Stricter than the format asks: tensors tile the data from 0 to the end of the file, and no name comes twice.
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <new>
#include <numeric>
#include <unordered_set>

#include "weights/bytes.h"
#include "weights/formats.h"
#include "wimm/error.h"

namespace wimm {

namespace {

struct Entry {
  TensorInfo info;
  uint64_t begin = 0, end = 0;  // in the data that follows the header
};

Error corrupt(std::string message) {
  return Error(ErrorCode::format_corrupt, "safetensors header: " + std::move(message));
}

DType parse_dtype(std::string_view name) {
  static constexpr std::pair<std::string_view, DType> kNames[] = {
      {"F32", DType::float32}, {"F16", DType::float16}, {"BF16", DType::bfloat16}, {"F64", DType::float64},
      {"I64", DType::int64},   {"I32", DType::int32},   {"I16", DType::int16},     {"I8", DType::int8},
      {"U64", DType::uint64},  {"U32", DType::uint32},  {"U16", DType::uint16},    {"U8", DType::uint8},
      {"BOOL", DType::boolean}};
  for (const auto& [text, dtype] : kNames) {
    if (text == name) return dtype;
  }
  throw Error(ErrorCode::format_unsupported, "safetensors dtype " + quote(name) + " is not supported");
}

// Receives the header's JSON as events:
// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}
class HeaderHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, HeaderHandler> {
 public:
  HeaderHandler(std::vector<Entry>& entries, const ReadLimits& limits) : entries_(entries), limits_(limits) {}

  bool StartObject() {
    if (depth_ == 2) throw corrupt("unexpected object");
    ++depth_;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    return true;
  }

  bool EndObject(rapidjson::SizeType) {
    if (depth_-- == 2 && !in_metadata_ && !(has_dtype_ && has_shape_ && has_offsets_)) {
      throw corrupt("dtype, shape or data_offsets is missing").in_tensor(entries_.back().info.name);
    }
    if (depth_ == 1) in_metadata_ = false;
    return true;
  }

  bool Key(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view key(text, length);
    if (depth_ == 1) {
      begin_entry(key);
    } else if (!in_metadata_) {
      begin_field(key);
    }
    return true;
  }

  bool String(const char* text, rapidjson::SizeType length, bool) {
    if (depth_ == 2 && in_metadata_) return true;
    if (field_ != Field::dtype) throw corrupt("unexpected string " + quote({text, length}));
    entries_.back().info.dtype = parse_dtype({text, length});
    field_ = Field::none;
    return true;
  }

  bool StartArray() {
    if (in_array_ || (field_ != Field::shape && field_ != Field::data_offsets)) throw corrupt("unexpected array");
    in_array_ = true;
    numbers_.clear();
    return true;
  }

  bool EndArray(rapidjson::SizeType) {
    Entry& entry = entries_.back();
    if (field_ == Field::shape) {
      entry.info.shape.assign(numbers_.begin(), numbers_.end());
    } else if (numbers_.size() == 2) {
      entry.begin = numbers_[0];
      entry.end = numbers_[1];
    } else {
      throw corrupt("data_offsets has " + std::to_string(numbers_.size()) + " numbers, wanted 2")
          .in_tensor(entry.info.name);
    }
    in_array_ = false;
    field_ = Field::none;
    return true;
  }

  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text, text + length, number);
    if (!in_array_ || error != std::errc() || end != text + length || number > INT64_MAX) {
      throw corrupt("unexpected number " + quote({text, length}));
    }
    if (field_ == Field::shape && numbers_.size() == limits_.rank) {
      throw Error(ErrorCode::limit_exceeded, "a tensor has more than " + std::to_string(limits_.rank) + " dimensions")
          .in_tensor(entries_.back().info.name);
    }
    if (field_ == Field::data_offsets && numbers_.size() == 2) throw corrupt("data_offsets has more than 2 numbers");
    numbers_.push_back(number);
    return true;
  }

  // null, true and false.
  bool Default() { throw corrupt("unexpected value"); }

 private:
  enum class Field : uint8_t { none, dtype, shape, data_offsets };

  void begin_entry(std::string_view name) {
    if (!names_.emplace(name).second) throw corrupt("the name " + quote(name) + " appears twice");
    in_metadata_ = name == "__metadata__";
    if (in_metadata_) return;
    if (entries_.size() == limits_.tensors) {
      throw Error(ErrorCode::limit_exceeded, "the file has more than " + std::to_string(limits_.tensors) + " tensors");
    }
    entries_.push_back({{std::string(name), DType::float32, {}}});
  }

  void begin_field(std::string_view name) {
    bool* seen = nullptr;
    if (name == "dtype") seen = &has_dtype_, field_ = Field::dtype;
    if (name == "shape") seen = &has_shape_, field_ = Field::shape;
    if (name == "data_offsets") seen = &has_offsets_, field_ = Field::data_offsets;
    if (seen == nullptr || *seen) {
      throw corrupt((seen ? "repeated field " : "unknown field ") + quote(name)).in_tensor(entries_.back().info.name);
    }
    *seen = true;
  }

  std::vector<Entry>& entries_;
  const ReadLimits& limits_;
  std::unordered_set<std::string> names_;
  std::vector<uint64_t> numbers_;
  Field field_ = Field::none;
  int depth_ = 0;
  bool in_metadata_ = false, in_array_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

// Memory for the parser, which does not ask whether there was any.
struct ThrowingAllocator {
  [[maybe_unused]] static constexpr bool kNeedFree = true;

  void* Malloc(size_t bytes) { return Realloc(nullptr, 0, bytes); }
  void* Realloc(void* block, size_t, size_t bytes) {
    if (bytes == 0) {
      Free(block);
      return nullptr;
    }
    void* const resized = std::realloc(block, bytes);
    return resized ? resized : throw std::bad_alloc();
  }
  static void Free(void* block) { std::free(block); }
};

// Entries in the header's order.
std::vector<Entry> parse_header(const std::string& header, const ReadLimits& limits) {
  if (header.empty() || header.front() != '{') throw corrupt("does not begin with '{'");
  std::vector<Entry> entries;
  HeaderHandler handler(entries, limits);
  rapidjson::MemoryStream stream(header.data(), header.size());
  rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseValidateEncodingFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, handler);
  // The parser takes a NUL for the end of the text.
  if (result.IsError() || stream.Tell() != header.size()) {
    const uint64_t offset = 8 + (result.IsError() ? result.Offset() : stream.Tell());
    throw corrupt("not valid JSON at byte " + std::to_string(offset)).at_offset(offset);
  }
  return entries;
}

// Tensors must follow each other without holes or overlaps and fill the data to its end.
void check_layout(const std::vector<Entry>& entries, uint64_t data_bytes, const ReadLimits& limits) {
  std::vector<const Entry*> in_order;
  for (const Entry& entry : entries) in_order.push_back(&entry);
  std::ranges::sort(in_order, {}, [](const Entry* entry) { return std::pair(entry->begin, entry->end); });
  uint64_t end = 0;
  for (const Entry* entry : in_order) {
    if (entry->begin != end || entry->end < entry->begin) {
      throw corrupt("data_offsets [" + std::to_string(entry->begin) + ", " + std::to_string(entry->end) +
                    "] where the previous tensor ends at " + std::to_string(end))
          .in_tensor(entry->info.name);
    }
    if (checked_byte_count(entry->info.dtype, entry->info.shape, limits) != entry->end - entry->begin) {
      throw corrupt(std::string(name_of(entry->info.dtype)) + " " + to_string(entry->info.shape) +
                    " does not fill the " + std::to_string(entry->end - entry->begin) + " bytes of its data_offsets")
          .in_tensor(entry->info.name);
    }
    end = entry->end;
  }
  if (end != data_bytes) {
    throw Error(end > data_bytes ? ErrorCode::format_truncated : ErrorCode::format_corrupt,
                "safetensors: the tensors take " + std::to_string(end) + " bytes, but the file has " +
                    std::to_string(data_bytes) + " after its header");
  }
}

class Safetensors final : public StateDict {
 public:
  Safetensors(std::shared_ptr<const ByteSource> source, uint64_t data_begin, std::vector<Entry> entries,
              const ReadLimits& limits)
      : source_(std::move(source)) {
    for (Entry& entry : entries) {
      tensors_.push_back(std::move(entry.info));
      offsets_.push_back(data_begin + entry.begin);
      ends_.push_back(data_begin + entry.end);
    }
    check_limits(tensors_, limits);
    strip_wrapper_prefixes(tensors_);
  }

  std::string_view format() const override { return "safetensors"; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  Tensor read(size_t index) const override {
    const TensorInfo& info = tensors_.at(index);
    Tensor tensor = allocate(info);
    read_into(index, tensor.data);
    return tensor;
  }

  void read_into(size_t index, std::span<std::byte> out) const override { source_->read(offsets_[index], out); }
  uint64_t end(size_t index) const override { return ends_[index]; }

 private:
  std::shared_ptr<const ByteSource> source_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint64_t> offsets_, ends_;  // in the file
};

}  // namespace

std::unique_ptr<StateDict> open_safetensors(std::shared_ptr<const ByteSource> source, const ReadLimits& limits) {
  ByteStream stream(*source, 0, source->size());
  const uint64_t header_bytes = stream.u64();
  if (header_bytes > limits.header_bytes) {
    throw Error(ErrorCode::limit_exceeded, "the safetensors header claims " + std::to_string(header_bytes) +
                                               " bytes, the limit is " + std::to_string(limits.header_bytes));
  }
  std::vector<Entry> entries = parse_header(stream.text(header_bytes), limits);
  check_layout(entries, stream.remaining(), limits);
  return std::make_unique<Safetensors>(source, stream.position(), std::move(entries), limits);
}

}  // namespace wimm
