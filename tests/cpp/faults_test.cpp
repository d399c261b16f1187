// The corpus of hostile and unusual weight files, each against what the manifest says that its reader must see.
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "wimm/error.h"
#include "wimm/weights.h"

using namespace wimm;

namespace {

struct Expectation {
  std::string file;
  std::set<std::string> codes;
  std::map<std::string, Tensor> tensors;  // where there are no codes
};

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  REQUIRE_MESSAGE(stream.good(), path);
  const std::string content(std::istreambuf_iterator<char>(stream), {});
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

DType dtype_of(std::string_view name) {
  for (uint8_t i = 0; i <= static_cast<uint8_t>(DType::boolean); ++i) {
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  FAIL("unknown dtype ", std::string(name));
  return {};
}

std::string text_of(const rapidjson::Value& value) { return {value.GetString(), value.GetStringLength()}; }

std::vector<Expectation> read_manifest(const std::string& folder) {
  const std::vector<std::byte> json = read_file(folder + "/manifest.json");
  rapidjson::Document document;
  document.Parse(reinterpret_cast<const char*>(json.data()), json.size());
  REQUIRE(document.IsArray());
  std::vector<Expectation> expectations;
  for (const auto& record : document.GetArray()) {
    Expectation expectation{folder + "/" + text_of(record["file"]), {}, {}};
    if (record.HasMember("codes")) {
      for (const auto& code : record["codes"].GetArray()) expectation.codes.insert(text_of(code));
    } else {
      for (const auto& [name, tensor] : record["tensors"].GetObject()) {
        Tensor expected{dtype_of(text_of(tensor["dtype"])), {}, from_hex(text_of(tensor["data"]))};
        for (const auto& dim : tensor["shape"].GetArray()) expected.shape.push_back(dim.GetInt64());
        expectation.tensors.emplace(text_of(name), std::move(expected));
      }
    }
    expectations.push_back(std::move(expectation));
  }
  return expectations;
}

std::map<std::string, Tensor> load_all(std::shared_ptr<const ByteSource> source) {
  const auto state_dict = load_state_dict(std::move(source));
  std::map<std::string, Tensor> tensors;
  for (size_t i = 0; i < state_dict->tensors().size(); ++i) {
    tensors.emplace(state_dict->tensors()[i].name, state_dict->read(i));
  }
  return tensors;
}

void check(const Expectation& expectation) {
  CAPTURE(expectation.file);
  std::map<std::string, Tensor> tensors;
  std::string code = "none";
  try {
    tensors = load_all(file_source(expectation.file));
  } catch (const Error& error) {
    code = code_name(error.code());
    CHECK_MESSAGE(expectation.codes.contains(code), "got " << code << ": " << std::string(error.what()));
    CHECK(std::string_view(error.what()).size() < 600);
    return;
  }
  REQUIRE_MESSAGE(expectation.codes.empty(), "loaded, wanted " << *expectation.codes.begin());
  CHECK(tensors.size() == expectation.tensors.size());
  for (const auto& [key, expected] : expectation.tensors) {
    const std::string& name = key;  // which a lambda may capture
    CAPTURE(name);
    REQUIRE(tensors.contains(name));
    CHECK(tensors[name].dtype == expected.dtype);
    CHECK(tensors[name].shape == expected.shape);
    CHECK(tensors[name].data == expected.data);
  }
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

long peak_memory_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Whatever happens to the bytes, a reader either loads them or throws an Error.
void survive(std::span<const std::byte> bytes) {
  try {
    load_all(memory_source(bytes));
  } catch (const Error&) {
  }
}

}  // namespace

TEST_CASE("hostile files give their errors and unusual ones load exactly, in little memory") {
  const long before = peak_memory_kib();
  for (const Expectation& expectation : read_manifest(WIMM_FAULTS_DIR)) {
    const double start = processor_seconds();
    check(expectation);
    CHECK_MESSAGE(processor_seconds() - start < 5, expectation.file << " takes too long");
  }
  CHECK(peak_memory_kib() - before < 512 << 10);  // the address sanitizer alone holds back 256 MiB of freed memory
}

TEST_CASE("files of the real torch and safetensors load exactly") {
  for (const Expectation& expectation : read_manifest(WIMM_SOURCE_DIR "/tests/faults/torch")) check(expectation);
}

TEST_CASE("a valid file that is cut anywhere, or has any byte changed, never does more than throw") {
  constexpr std::byte changes[] = {std::byte{0x01}, std::byte{0x80}, std::byte{0xFF}};
  for (const Expectation& expectation : read_manifest(WIMM_FAULTS_DIR)) {
    std::vector<std::byte> bytes = read_file(expectation.file);
    if (!expectation.codes.empty() || bytes.size() > 4096) continue;
    CAPTURE(expectation.file);
    for (size_t length = 0; length < bytes.size(); ++length) survive(std::span(bytes).first(length));
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] ^= changes[i % 3];
      survive(bytes);
      bytes[i] ^= changes[i % 3];
    }
  }
}
