// wimm packs: what is written is read, and what no writer of ours makes is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "pack_generated.h"
#include "weights/crc32.h"
#include "weights/pack.h"
#include "wimm/error.h"

using namespace wimm;

namespace {

using Bytes = std::vector<std::byte>;

Bytes counting_bytes(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

// A tensor of each type, a scalar and an empty one.
std::vector<std::pair<std::string, Tensor>> sample_tensors() {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(DType::boolean); ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.push_back({std::string(name_of(dtype)), {dtype, {2, 3}, counting_bytes(6 * size_of(dtype))}});
  }
  tensors.push_back({"scalar", {DType::int64, {}, counting_bytes(8)}});
  tensors.push_back({"empty", {DType::float32, {0, 3}, {}}});
  return tensors;
}

Bytes sample_pack() {
  const auto tensors = sample_tensors();
  PackContents contents{"resnet34.a1_in1k", R"({"crop_pct": 0.95})", {}, {}};
  for (const auto& [name, tensor] : tensors) contents.tensors.push_back({name, tensor.dtype, tensor.shape});
  contents.read = [&](size_t index) { return tensors[index].second; };
  Bytes file;
  write_pack(contents, [&](std::span<const std::byte> bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); });
  return file;
}

// A pack as its author wants it, right or wrong. By default: "a" of 2 floats, then "b" of 1.
struct Forgery {
  struct Entry {
    std::string name;
    pack::DType dtype = pack::DType::float32;
    Shape shape;
    uint64_t offset = 0, length = 0;
    pack::Encoding encoding = pack::Encoding::plain;
  };

  uint32_t version = 1;
  uint64_t required_features = 0, data_length = 68;
  std::vector<Entry> entries = {{"a", pack::DType::float32, {2}, 0, 8}, {"b", pack::DType::float32, {1}, 64, 4}};
  size_t data_bytes = 68;
  size_t repeats = 1;  // of each entry, as references to one table

  Bytes build() const {
    const Bytes data = counting_bytes(data_bytes);
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<pack::Tensor>> tensors;
    for (const Entry& entry : entries) {
      const auto name = builder.CreateString(entry.name);
      const auto shape = builder.CreateVector(entry.shape);
      const bool inside = entry.offset <= data.size() && entry.length <= data.size() - entry.offset;
      const uint32_t crc = inside ? crc32_of(std::span(data).subspan(entry.offset, entry.length)) : 0;
      const auto tensor =
          pack::CreateTensor(builder, name, entry.dtype, shape, entry.offset, entry.length, crc, entry.encoding);
      tensors.insert(tensors.end(), repeats, tensor);
    }
    const auto list = builder.CreateVector(tensors);
    const auto model = builder.CreateString("m"), cfg = builder.CreateString("{}");
    pack::FinishSizePrefixedPackBuffer(
        builder, pack::CreatePack(builder, version, required_features, model, cfg, list, data_length));
    const auto metadata = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    Bytes file(metadata.begin(), metadata.end());
    file.resize((file.size() + 63) / 64 * 64);
    file.insert(file.end(), data.begin(), data.end());
    return file;
  }
};

// "loaded", or the code of the error that opening the file and reading its tensors ends with.
std::string outcome(std::span<const std::byte> bytes) {
  try {
    const auto state_dict = load_state_dict(memory_source(bytes));
    for (size_t i = 0; i < state_dict->tensors().size(); ++i) state_dict->read(i);
    return "loaded";
  } catch (const Error& error) {
    return std::string(code_name(error.code()));
  }
}

std::string outcome_of(const std::function<void(Forgery&)>& change) {
  Forgery forgery;
  change(forgery);
  return outcome(forgery.build());
}

}  // namespace

TEST_CASE("a pack gives back what was written, from memory of any alignment [F13]") {
  const Bytes file = sample_pack();
  const auto tensors = sample_tensors();
  for (size_t shift = 0; shift < 16; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), file.begin(), file.end());
    const Pack pack(memory_source(std::span(shifted).subspan(shift)), {});
    CHECK(pack.model() == "resnet34.a1_in1k");
    CHECK(pack.cfg() == R"({"crop_pct": 0.95})");
    REQUIRE(pack.tensors().size() == tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Tensor tensor = pack.read(i);
      CHECK(pack.tensors()[i].name == tensors[i].first);
      CHECK(tensor.dtype == tensors[i].second.dtype);
      CHECK(tensor.shape == tensors[i].second.shape);
      CHECK(tensor.data == tensors[i].second.data);
    }
  }
}

TEST_CASE("a pack names element types as PyTorch does") {
  for (uint8_t i = 0; i < static_cast<uint8_t>(DType::boolean); ++i) {
    CHECK(pack::EnumNameDType(static_cast<pack::DType>(i)) == name_of(static_cast<DType>(i)));
  }
}

TEST_CASE("a pack without tensors loads") {
  Bytes file;
  write_pack({"m", "{}", {}, {}},
             [&](std::span<const std::byte> bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); });
  CHECK(outcome(file) == "loaded");
}

TEST_CASE("a pack that is cut anywhere is refused") {
  const Bytes file = sample_pack();
  for (size_t length = 0; length < file.size(); ++length) CHECK(outcome(std::span(file).first(length)) != "loaded");
}

TEST_CASE("a change to a tensor's bytes is found by its checksum") {
  Bytes file = sample_pack();
  // The scalar comes last but for an empty tensor: the file ends with it and, at most, zeros.
  const Bytes scalar = counting_bytes(8);
  const auto place = std::find_end(file.begin(), file.end(), scalar.begin(), scalar.end());
  REQUIRE(place != file.end());
  for (int i = 0; i < 8; ++i) {
    place[i] ^= std::byte{0x10};
    CHECK(outcome(file) == "ERR_INTEGRITY");
    place[i] ^= std::byte{0x10};
  }
}

TEST_CASE("a change to any byte of a pack never does more than throw") {
  Bytes file = sample_pack();
  for (std::byte& byte : file) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      byte ^= static_cast<std::byte>(change);
      outcome(file);
      byte ^= static_cast<std::byte>(change);
    }
  }
}

TEST_CASE("forged packs are refused") {
  CHECK(outcome_of([](Forgery&) {}) == "loaded");
  CHECK(outcome_of([](Forgery& forgery) { forgery.version = 2; }) == "ERR_FORMAT_UNSUPPORTED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.version = 0; }) == "ERR_FORMAT_UNSUPPORTED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.required_features = 2; }) == "ERR_FORMAT_UNSUPPORTED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.entries[0].dtype = static_cast<pack::DType>(99); }) ==
        "ERR_FORMAT_UNSUPPORTED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.entries[0].encoding = static_cast<pack::Encoding>(9); }) ==
        "ERR_FORMAT_UNSUPPORTED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.data_bytes -= 1; }) == "ERR_FORMAT_TRUNCATED");
  // The sharing of one table by all: as many tensors as references.
  CHECK(outcome_of([](Forgery& forgery) { forgery.repeats = 40'000; }) == "ERR_LIMIT_EXCEEDED");
  CHECK(outcome_of([](Forgery& forgery) { forgery.entries[0].shape = {int64_t{1} << 62, 4}; }) == "ERR_LIMIT_EXCEEDED");

  const std::function<void(Forgery&)> corruptions[] = {
      [](Forgery& forgery) { forgery.data_bytes += 1; },
      [](Forgery& forgery) { forgery.data_length = 1 << 20; },
      [](Forgery& forgery) { forgery.entries[1].offset = 0; },                // overlap
      [](Forgery& forgery) { forgery.entries[1].offset = 16; },               // alignment
      [](Forgery& forgery) { forgery.entries[1].offset = 128; },              // hole
      [](Forgery& forgery) { forgery.entries[1].offset = UINT64_MAX - 63; },  // outside
      [](Forgery& forgery) { forgery.entries[1].length = UINT64_MAX; },
      [](Forgery& forgery) { forgery.entries[1].length = 8; },
      [](Forgery& forgery) { forgery.entries[0].encoding = pack::Encoding::int8_rows; },  // takes 2 · (4 + 1) bytes
      [](Forgery& forgery) { forgery.entries[1] = {"b", pack::DType::float32, {}, 64, 5, pack::Encoding::int8_rows}; },
      [](Forgery& forgery) {
        forgery.entries[1] = {"b", pack::DType::int32, {1}, 64, 5, pack::Encoding::int8_rows};
        forgery.data_bytes = forgery.data_length = 69;
      },
      [](Forgery& forgery) { forgery.entries[0].shape = {-2}; },
      [](Forgery& forgery) { forgery.entries[1].name = "a"; },
      [](Forgery& forgery) { forgery.entries[1].name = ""; },
      [](Forgery& forgery) { forgery.entries[1].name = "\xff"; },
  };
  for (const auto& corruption : corruptions) CHECK(outcome_of(corruption) == "ERR_FORMAT_CORRUPT");
}

// Of the claims in a forgery, those that its file bears out.
bool lies_as_it_should(const Forgery& forgery) {
  uint64_t end = 0;
  for (const Forgery::Entry& entry : forgery.entries) {
    while (end % 64 != 0) ++end;
    if (entry.offset != end || entry.length != 4 * static_cast<uint64_t>(entry.shape[0])) return false;
    end += entry.length;
  }
  return forgery.data_length == end && forgery.data_bytes == end;
}

TEST_CASE("a pack loads only where its tensors lie one behind the other, whatever it claims [F09]") {
  std::mt19937 random(1);
  const auto one_of = [&](std::initializer_list<uint64_t> values) { return values.begin()[random() % values.size()]; };
  size_t loaded = 0;
  for (int i = 0; i < 20'000; ++i) {
    Forgery forgery;
    for (Forgery::Entry& entry : forgery.entries) {
      if (random() % 4 == 0)
        entry.offset = one_of({0, 4, 8, 16, 64, 128, 192, UINT64_MAX, UINT64_MAX - 63, 1ull << 32});
      if (random() % 4 == 0) entry.length = one_of({0, 4, 8, 64, 256, UINT64_MAX, UINT64_MAX - 3, 1ull << 62});
      if (random() % 4 == 0) entry.shape = {static_cast<int64_t>(one_of({0, 1, 2, 16, 64, 1ull << 30, 1ull << 62}))};
    }
    if (random() % 4 == 0) forgery.data_length = one_of({0, 4, 68, 72, 132, 1ull << 32, UINT64_MAX});
    if (random() % 4 == 0) forgery.data_bytes = one_of({0, 4, 67, 68, 72, 132});
    CAPTURE(i);
    const bool loads = outcome(forgery.build()) == "loaded";
    CHECK(loads == lies_as_it_should(forgery));
    loaded += loads;
  }
  CHECK(loaded > 1000);
}

TEST_CASE("metadata that lacks what it must have, or claims too much, is refused") {
  flatbuffers::FlatBufferBuilder builder;
  const auto empty = builder.StartTable();
  builder.FinishSizePrefixed(flatbuffers::Offset<pack::Pack>(builder.EndTable(empty)), pack::PackIdentifier());
  CHECK(outcome(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()))) == "ERR_FORMAT_CORRUPT");

  Bytes file = sample_pack();
  const uint32_t length = 0x7FFFFFFF;
  std::memcpy(file.data(), &length, sizeof(length));
  CHECK(outcome(file) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("rows of eight bits keep each element within half a step of its row") {
  const Shape shape{3, 2, 16};
  std::vector<float> values(96);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * (i < 32 ? 1e-3f : 1e3f);
  std::fill(values.begin() + 64, values.end(), 0.0f);
  const auto bytes = std::as_bytes(std::span(values));
  PackContents contents{"m", "{}", {{"w", DType::float32, shape}, {"none", DType::float32, {0, 4}}}, {}};
  contents.read = [&](size_t index) {
    return index == 0 ? Tensor{DType::float32, shape, {bytes.begin(), bytes.end()}}
                      : Tensor{DType::float32, {0, 4}, {}};
  };
  contents.encodings = {Encoding::int8_rows, Encoding::int8_rows};
  const auto written = [](const PackContents& pack) {
    Bytes file;
    write_pack(pack, [&](std::span<const std::byte> part) { file.insert(file.end(), part.begin(), part.end()); });
    return file;
  };
  const Bytes file = written(contents);
  const auto state_dict = load_state_dict(memory_source(file));
  CHECK(state_dict->read(1).shape == Shape{0, 4});
  const Tensor read = state_dict->read(0);
  REQUIRE(read.dtype == DType::float32);
  REQUIRE(read.shape == shape);
  const std::vector<float> got = to_float32(read);
  for (size_t i = 0; i < values.size(); ++i)
    CHECK(std::abs(got[i] - values[i]) <= (i < 32 ? 1e-3f : 1e3f) / 127 / 2 * 1.0001f);
  for (size_t i = 64; i < values.size(); ++i) CHECK(got[i] == 0);

  contents.read = [&](size_t index) { return state_dict->read(index); };
  CHECK(written(contents) == file);  // once rounded, they stay
}
