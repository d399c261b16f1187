// Reading goldens, and comparing with them.
#include "parity/goldens.h"

#include <rapidjson/document.h>
#include <rapidjson/istreamwrapper.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "models/families.h"
#include "parity/synthetic.h"

namespace wimm::parity {

Shape read_shape(const rapidjson::Value& json) {
  Shape shape;
  for (const auto& size : json.GetArray()) shape.push_back(size.GetInt64());
  return shape;
}

GoldenTensor read_tensor(const rapidjson::Value& json) {
  GoldenTensor tensor{
      read_shape(json["shape"]), json["mean"].GetDouble(), json["std"].GetDouble(), json["max"].GetDouble(), {}};
  for (const auto& sample : json["samples"].GetArray()) tensor.samples.push_back(sample.GetDouble());
  return tensor;
}

namespace {

DType dtype_of(std::string_view name) {
  for (const DType dtype : {DType::float32, DType::float16, DType::bfloat16}) {
    if (name_of(dtype) == name) return dtype;
  }
  throw std::runtime_error("goldens have no dtype " + std::string(name));
}

Golden read_golden(const rapidjson::Value& json, std::string_view module) {
  Golden golden{.module = std::string(module),
                .model = json["model"].GetString(),
                .in_chans = json["in_chans"].GetInt64(),
                .num_classes = json["num_classes"].GetInt64(),
                .global_pool = std::nullopt,
                .img_size = std::nullopt,
                .checkpoint_img_size = std::nullopt,
                .dtype = dtype_of(json["dtype"].GetString()),
                .gain = json["gain"].GetDouble(),
                .input = read_shape(json["input"]),
                .digest = json["state_dict"]["digest"].GetString(),
                .element_count = json["state_dict"]["elements"].GetUint64(),
                .logits = read_tensor(json["logits"]),
                .features = json["features"].IsNull() ? std::nullopt : std::optional(read_tensor(json["features"])),
                .levels = {}};
  if (json.HasMember("global_pool")) golden.global_pool = json["global_pool"].GetString();
  if (json.HasMember("img_size")) golden.img_size = {golden.input[2], golden.input[3]};
  if (json.HasMember("sized_checkpoint")) golden.checkpoint_img_size = golden.img_size;
  for (const auto& level : json["levels"].GetArray()) {
    golden.levels.push_back(
        {level["module"].GetString(), level["channels"].GetInt64(), level["reduction"].GetInt64(), read_tensor(level)});
  }
  return golden;
}

void read_file(const std::filesystem::path& path, std::vector<Golden>& goldens) {
  std::ifstream file(path);
  rapidjson::IStreamWrapper stream(file);
  rapidjson::Document document;
  if (document.ParseStream(stream).HasParseError()) throw std::runtime_error("cannot read " + path.string());
  const std::string name = path.stem().string(), module = name.substr(0, name.find('-'));  // MODULE[-RELEASE].json
  for (const auto& json : document["cases"].GetArray()) goldens.push_back(read_golden(json, module));
}

}  // namespace

std::vector<Golden> read_goldens() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(WIMM_SOURCE_DIR "/tests/parity/goldens")) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Golden> goldens;
  for (const auto& path : paths) read_file(path, goldens);
  return goldens;
}

std::string title(const Golden& golden) {
  std::string text = golden.model + " " + to_string(golden.input);
  if (golden.num_classes != 1000) text += ", " + std::to_string(golden.num_classes) + " classes";
  if (golden.global_pool) text += ", pool '" + *golden.global_pool + "'";
  if (golden.img_size) text += ", resized";
  if (golden.dtype != DType::float32) text += ", " + std::string(name_of(golden.dtype));
  return text;
}

std::vector<TensorInfo> checkpoint_tensors(const Golden& golden) {
  const BuildOptions options{
      .num_classes = golden.num_classes, .global_pool = golden.global_pool, .img_size = golden.checkpoint_img_size};
  std::vector<TensorInfo> tensors;
  for (const Parameter& parameter : build_network(golden.model, options).graph.parameters) {
    if (parameter.init != Init::constant) tensors.push_back({parameter.name, parameter.dtype, parameter.shape});
  }
  return tensors;
}

std::string digest(const std::vector<TensorInfo>& tensors) {
  std::string lines;
  for (const TensorInfo& info : tensors) lines += info.name + " " + to_string(info.shape) + "\n";
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(fnv1a(lines)));
  return text;
}

double difference(const FloatTensor& tensor, const GoldenTensor& golden) {
  if (tensor.shape != golden.shape) return std::numeric_limits<double>::infinity();
  const auto count = static_cast<double>(tensor.data.size());
  double sum = 0, squares = 0, max = 0, worst = 0;
  for (const float value : tensor.data) {
    sum += value;
    squares += double{value} * value;
    max = std::max(max, std::abs(double{value}));
  }
  const double mean = sum / count, std = std::sqrt(std::max(squares / count - mean * mean, 0.0));
  if (!std::isfinite(squares)) return std::numeric_limits<double>::infinity();
  for (const double error : {mean - golden.mean, std - golden.std, max - golden.max}) {
    worst = std::max(worst, std::abs(error));
  }
  const uint64_t hash = fnv1a("samples");
  for (size_t i = 0; i < golden.samples.size(); ++i) {
    const float value = tensor.data[random_bits(hash, i) % tensor.data.size()];
    worst = std::max(worst, std::abs(value - golden.samples[i]));
  }
  return worst / golden.max;
}

}  // namespace wimm::parity
