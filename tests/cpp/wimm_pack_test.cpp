// The wimm-pack program: exit codes, files, and what it says.
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "wimm/error.h"
#include "wimm/model.h"
#include "wimm/weights.h"

using namespace wimm;

namespace {

constexpr const char* model_name = "test_efficientnet";

// A folder that goes at the end of the test.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("wimm-pack-test-" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return path / name; }
  size_t count() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path), {})); }
};

std::string read_text(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// The exit status; stdout and stderr go to the folder's out and err.
int run(const Folder& folder, const std::string& arguments) {
  const std::string command =
      std::string(WIMM_PACK) + " " + arguments + " > " + folder / "out" + " 2> " + folder / "err";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Safetensors with every parameter of the model, all of its floats `value`; without the first `missing` parameters.
std::string checkpoint(float value, size_t missing = 0) {
  std::string header = "{", data;
  size_t index = 0;
  for (const ParameterInfo& parameter : create_model(model_name)->parameters()) {
    if (index++ < missing) continue;
    const size_t begin = data.size(), elements = static_cast<size_t>(element_count(parameter.shape));
    const bool floating = is_floating_point(parameter.dtype);
    for (size_t i = 0; i < elements; ++i) data.append(reinterpret_cast<const char*>(&value), floating ? 4 : 0);
    if (!floating) data.append(elements * size_of(parameter.dtype), '\1');
    header += (header.size() > 1 ? ",\"" : "\"") + parameter.name + R"(":{"dtype":)" +
              (floating ? R"("F32")" : R"("I64")") + R"(,"shape":)" + to_string(parameter.shape) +
              R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  header += "}";
  std::string length(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(length.data(), &size, sizeof(size));
  return length + header + data;
}

std::string convert(const std::string& input, const std::string& output, const std::string& options = "") {
  return std::string("convert --model ") + model_name + " " + options + " " + input + " -o " + output;
}

}  // namespace

TEST_CASE("wimm-pack converts a checkpoint, and verifies and inspects the pack") {
  const Folder folder;
  const std::string input = folder / "in.safetensors", output = folder / "out.wimm";
  write_text(input, checkpoint(0.1f));
  for (const DType dtype : {DType::float32, DType::float16}) {
    REQUIRE(run(folder, convert(input, output, "--dtype " + std::string(name_of(dtype)))) == 0);
    CHECK(run(folder, "verify " + output) == 0);
    CHECK(read_text(folder / "err").empty());
    const auto before = load_state_dict(file_source(input)), after = load_state_dict(file_source(output));
    REQUIRE(after->tensors().size() == before->tensors().size());
    for (size_t i = 0; i < after->tensors().size(); ++i) {
      const TensorInfo& info = after->tensors()[i];
      CAPTURE(info.name);
      const Tensor original = before->read(before->find(info.name).value());
      const bool narrowed = is_floating_point(original.dtype) && info.shape.size() >= 2;
      const Tensor expected = narrowed ? cast(original, dtype) : original;
      CHECK(info.dtype == expected.dtype);
      CHECK(info.shape == expected.shape);
      CHECK(after->read(i).data == expected.data);
    }
  }

  REQUIRE(run(folder, "inspect --json " + output) == 0);
  rapidjson::Document description;
  description.Parse(read_text(folder / "out").c_str());
  REQUIRE(description.IsObject());
  CHECK(description["format"] == "wimm");
  CHECK(std::string(description["model"].GetString()).starts_with(model_name));
  CHECK(description["cfg"]["numClasses"] == 1000);
  CHECK(description["tensors"][0]["name"] == "conv_stem.weight");
}

TEST_CASE("wimm-pack rounds weights to eight bits, in a quarter of the bytes") {
  const Folder folder;
  const std::string input = folder / "in.safetensors", output = folder / "out.wimm";
  write_text(input, checkpoint(0.1f));
  REQUIRE(run(folder, convert(input, output, "--dtype int8")) == 0);
  CHECK(run(folder, "verify " + output) == 0);
  CHECK(std::filesystem::file_size(output) < 0.35 * static_cast<double>(std::filesystem::file_size(input)));
  const auto before = load_state_dict(file_source(input)), after = load_state_dict(file_source(output));
  REQUIRE(after->tensors().size() == before->tensors().size());
  for (size_t i = 0; i < after->tensors().size(); ++i) {
    const TensorInfo& info = after->tensors()[i];
    CAPTURE(info.name);
    const Tensor original = before->read(before->find(info.name).value());
    const bool large = is_floating_point(original.dtype) && info.shape.size() >= 2;
    const bool rounded = large && element_count(info.shape) >= 32 * info.shape[0];
    CHECK(info.dtype == (large && !rounded ? DType::float16 : original.dtype));
    if (!is_floating_point(original.dtype)) continue;
    const std::vector<float> wanted = to_float32(original), got = to_float32(after->read(i));
    double worst = 0;
    for (size_t k = 0; k < wanted.size(); ++k) worst = std::max<double>(worst, std::abs(got[k] - wanted[k]));
    CHECK(worst <= (rounded ? 0.1 / 127 : large ? 1e-4 : 0));  // the checkpoint's weights are 0.1
  }
}

TEST_CASE("wimm-pack finds a damaged pack") {
  const Folder folder;
  const std::string input = folder / "in.safetensors", output = folder / "out.wimm";
  write_text(input, checkpoint(0.1f));
  REQUIRE(run(folder, convert(input, output)) == 0);
  std::string pack = read_text(output);
  pack[pack.size() - 5] ^= 1;
  write_text(output, pack);
  CHECK(run(folder, "verify " + output) == 1);
  CHECK(read_text(folder / "err").find("ERR_INTEGRITY") != std::string::npos);
}

TEST_CASE("where wimm-pack fails it leaves nothing behind, and what was there stays [F16]") {
  const Folder folder;
  const std::string good = folder / "good.safetensors", bad = folder / "bad.safetensors", output = folder / "out.wimm";
  write_text(good, checkpoint(0.1f));
  write_text(bad, checkpoint(0.1f, 1));
  CHECK(run(folder, convert(bad, output)) == 1);
  CHECK(read_text(folder / "err").find("conv_stem.weight") != std::string::npos);
  write_text(bad, checkpoint(1e6f));
  CHECK(run(folder, convert(bad, output, "--dtype float16")) == 1);
  CHECK(read_text(folder / "err").find("ERR_WEIGHTS_NONFINITE") != std::string::npos);
  CHECK(run(folder, convert(folder / "none", output)) == 1);
  CHECK(run(folder, convert(good, folder / "none/out.wimm")) == 1);
  CHECK(folder.count() == 4);  // the two inputs, out and err

  const std::string content = read_text(good);
  CHECK(run(folder, convert(good, good)) == 1);
  CHECK(read_text(good) == content);
  write_text(output, "as it was");
  CHECK(run(folder, convert(folder / "none", output)) == 1);
  CHECK(read_text(output) == "as it was");
}

TEST_CASE("wimm-pack takes the tensors from under a key") {
  const Folder folder;
  const std::string both = WIMM_SOURCE_DIR "/tests/faults/torch/V18_model_ema.pth";
  for (const char* command : {"inspect", "verify"}) {
    CHECK(run(folder, std::string(command) + " --key model " + both) == 0);
    CHECK(run(folder, std::string(command) + " --key none " + both) == 1);
    CHECK(read_text(folder / "err").find("model_ema") != std::string::npos);
  }
  CHECK(run(folder, convert(both, folder / "out.wimm", "--key ''")) == 1);
  CHECK(read_text(folder / "err").find("ERR_STATE_DICT_MISMATCH") != std::string::npos);
}

TEST_CASE("wimm-pack tells wrong usage from failure") {
  const Folder folder;
  CHECK(run(folder, "--help") == 0);
  for (const char* arguments :
       {"", "frobnicate x", "inspect", "inspect a b", "verify --json a", "inspect --model m a", "convert a",
        "convert --model m a", "convert --model m --dtype int4 a -o b", "inspect a --frobnicate", "convert a -o"}) {
    CAPTURE(arguments);
    CHECK(run(folder, arguments) == 2);
    CHECK(read_text(folder / "err").find("usage:") != std::string::npos);
    CHECK(read_text(folder / "out").empty());
  }
  CHECK(run(folder, "inspect /does/not/exist") == 1);
}
