// What the weight readers share: limits, checked sizes, sources, and names of other projects.
#include "wimm/weights.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "weights/bytes.h"
#include "wimm/error.h"

using namespace wimm;

namespace {

template <typename Call>
std::string code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(code_name(error.code()));
  }
  return "none";
}

std::string safetensors(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return file + header + std::string(data_bytes, '\0');
}

std::string load(const std::string& file, const ReadLimits& limits = {}) {
  return code_of([&] { load_state_dict(memory_source(std::as_bytes(std::span(file))), limits); });
}

std::string many_tensors(size_t count) {
  std::string header = "{";
  for (size_t i = 0; i < count; ++i) {
    header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  return safetensors(header + "}", 0);
}

}  // namespace

TEST_CASE("a file has as many tensors as the limit, and no more [S25]") {
  CHECK(load(many_tensors(65'536)) == "none");
  CHECK(load(many_tensors(65'537)) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(many_tensors(1'000'000)) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("limits are of the caller's choice") {
  const std::string file = safetensors(R"({"name":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);
  CHECK(load(file) == "none");
  CHECK(load(file, {.header_bytes = 10}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.tensors = 0}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.tensor_name_bytes = 3}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.rank = 1}) == "ERR_LIMIT_EXCEEDED");
  CHECK(load(file, {.total_bytes = 15}) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("limits bound the pickles of checkpoints, and their archives") {
  for (const char* name : {"/V18_training_model", "/L00_control"}) {
    const auto load_within = [&](const ReadLimits& limits) {
      return code_of([&] { load_state_dict(file_source(WIMM_FAULTS_DIR + std::string(name)), limits); });
    };
    CAPTURE(name);
    CHECK(load_within({}) == "none");
    CHECK(load_within({.header_bytes = 20}) == "ERR_LIMIT_EXCEEDED");
    CHECK(load_within({.header_bytes = 300}) == "ERR_LIMIT_EXCEEDED");
    CHECK(load_within({.tensors = 1}) == "ERR_LIMIT_EXCEEDED");
    CHECK(load_within({.total_bytes = 99}) == "ERR_LIMIT_EXCEEDED");
  }
  const auto state_dict = load_state_dict(file_source(WIMM_FAULTS_DIR "/Z00_control"));
  CHECK(!state_dict->find("none"));
}

TEST_CASE("sums and products of sizes do not wrap") {
  constexpr uint64_t largest = std::numeric_limits<uint64_t>::max();
  CHECK(checked_add(largest, 0) == largest);
  CHECK(checked_multiply(largest, 1) == largest);
  CHECK(checked_multiply(largest, 0) == 0);
  CHECK(code_of([] { checked_add(largest, 1); }) == "ERR_LIMIT_EXCEEDED");
  CHECK(code_of([] { checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32); }) == "ERR_LIMIT_EXCEEDED");
  CHECK(code_of([] { checked_size(largest); }) == "ERR_LIMIT_EXCEEDED");
}

TEST_CASE("the key of a checkpoint's tensors may be chosen [D12]") {
  const auto open = [](const std::string& file, const std::optional<std::string>& key) {
    return load_state_dict(file_source(WIMM_SOURCE_DIR "/tests/faults/torch/" + file), {}, key);
  };
  const auto first_float = [](const StateDict& state_dict) {
    return to_float32(state_dict.read(state_dict.find("conv.weight").value()))[0];
  };
  const std::string both = "V18_model_ema.pth";  // the weights of `model_ema` are those of `model` and 1
  CHECK(first_float(*open(both, "model_ema")) == first_float(*open(both, {})));
  CHECK(first_float(*open(both, "model_ema")) == first_float(*open(both, "model")) + 1);
  CHECK(open("V18_model_prefixed.pth", "model")->find("conv.weight"));
  CHECK(open("V11_module_legacy.pth", "")->find("conv.weight"));
  CHECK(open("V01_every_dtype.safetensors", "")->find("float16"));

  const auto message_of = [&](const std::string& file, const std::string& key) {
    try {
      open(file, key);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::state_dict_mismatch);
      return std::string(error.what());
    }
    return std::string();
  };
  for (const char* key : {"", "none", "epoch", "optimizer"}) {
    CAPTURE(key);
    CHECK(message_of(both, key).find("under \"model\", \"model_ema\"") != std::string::npos);
  }
  CHECK(message_of("V10_module.pth", "model").find("at its top") != std::string::npos);
  CHECK(message_of("V01_every_dtype.safetensors", "model").find("without a key") != std::string::npos);
}

TEST_CASE("UTF-8 is told from what only resembles it") {
  for (const char* text : {"", "abc", "Gewichte", "\u00fc", "\u91cd\u307f", "\U0001f600", "\U0010ffff"})
    CHECK(is_utf8(text));
  const char* malformed[] = {
      "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xff"};
  for (const char* text : malformed) CHECK_FALSE(is_utf8(text));
}

TEST_CASE("a byte stream reads across its window and not past its end") {
  std::string bytes(200'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
  const auto source = memory_source(std::as_bytes(std::span(bytes)));
  ByteStream stream(*source, 3, bytes.size() - 5);
  CHECK(stream.text(2) == bytes.substr(3, 2));
  stream.skip(65'500);
  CHECK(stream.text(100) == bytes.substr(65'505, 100));
  CHECK(stream.u8() == static_cast<uint8_t>(bytes[65'605]));
  CHECK(stream.text(100'000) == bytes.substr(65'606, 100'000));
  stream.skip(stream.remaining() - 2);
  CHECK(code_of([&] { stream.u32(); }) == "ERR_FORMAT_TRUNCATED");
  CHECK(code_of([&] { stream.text(std::numeric_limits<uint64_t>::max()); }) == "ERR_FORMAT_TRUNCATED");
  CHECK(code_of([&] { ByteStream(*source, 0, bytes.size() + 1); }) == "ERR_FORMAT_TRUNCATED");
}

TEST_CASE("files that cannot be read are reported") {
  CHECK(code_of([] { file_source("/does/not/exist"); }) == "ERR_INVALID_ARGUMENT");
  CHECK(code_of([] { file_source("/"); }) == "ERR_INVALID_ARGUMENT");
  const std::string path = WIMM_FAULTS_DIR "/shrinks";
  std::ofstream(path) << "0123456789";
  const auto source = file_source(path);
  std::filesystem::resize_file(path, 4);
  std::byte ten[10];
  CHECK(code_of([&] { source->read(0, ten); }) == "ERR_FORMAT_TRUNCATED");
  CHECK(code_of([&] { source->read(8, ten); }) == "ERR_FORMAT_TRUNCATED");
  std::filesystem::remove(path);
  std::byte byte;
  CHECK(code_of([&] { memory_source({})->read(0, {&byte, 1}); }) == "ERR_FORMAT_TRUNCATED");
}
