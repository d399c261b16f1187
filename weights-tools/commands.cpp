// convert, inspect and verify.
#include "commands.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <unordered_map>

#include "models/families.h"
#include "output_file.h"
#include "weights/pack.h"
#include "wimm/catalogue.h"
#include "wimm/error.h"
#include "wimm/model.h"
#include "wimm/weights.h"

namespace wimm {

namespace {

// Overwrites one line of stderr, where that is a terminal.
void report_progress(std::string_view what, size_t done, size_t total) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::cerr << '\r' << what << ' ' << done << '/' << total << (done == total ? "\n" : "") << std::flush;
}

std::vector<std::string> parameter_names(const std::string& architecture) {
  std::vector<std::string> names;
  for (const Parameter& parameter : build_network(architecture, {}).graph.parameters) names.push_back(parameter.name);
  return names;
}

// Builds the model from these weights, under timm's names, with as many classes as they have: that checks names, types
// and shapes.
void check_fits(const StateDict& state_dict, const PretrainedCfg& cfg) {
  ModelOptions options;
  options.weights = &state_dict;
  options.num_classes = cfg.num_classes;
  options.label_offset = cfg.label_offset;
  for (const auto& [name, dtype, shape] : state_dict.tensors()) {
    if (!cfg.classifier.empty() && name == cfg.classifier.front() + ".weight" && !shape.empty() &&
        shape[0] != cfg.num_classes + cfg.label_offset) {
      options.num_classes = shape[0];
      options.label_offset = 0;
    }
  }
  create_model(cfg.architecture, options);
}

// Whether a tensor is a layer's weight, of enough elements an output to be worth a scale of their own.
bool suits_int8(const TensorInfo& info) {
  return is_floating_point(info.dtype) && info.name.ends_with("weight") && info.shape.size() >= 2 &&
         element_count(info.shape) >= 32 * info.shape[0];
}

// Single precision, or half where asked for the large tensors: vectors (biases, statistics) are few bytes, and running
// variances may exceed what half precision holds. Integers stay. What is stored as int8 is of single precision to its
// readers; what does not suit that is stored as half.
DType stored_dtype(const TensorInfo& info, DType wanted) {
  if (!is_floating_point(info.dtype)) return info.dtype;
  if (info.shape.size() < 2 || (wanted == DType::int8 && suits_int8(info))) return DType::float32;
  return wanted == DType::int8 ? DType::float16 : wanted;
}

Tensor convert_tensor(const Tensor& tensor, DType dtype, const std::string& name) {
  if (tensor.dtype == dtype) return tensor;
  const std::vector<float> values = to_float32(tensor, name);
  const auto bytes = std::as_bytes(std::span(values));
  const Tensor single{DType::float32, tensor.shape, {bytes.begin(), bytes.end()}};
  if (dtype == DType::float32) return single;
  return narrow(single, dtype, name);
}

// The tensors of the model, in its order.
PackContents contents_of(const StateDict& state_dict, const PretrainedCfg& cfg, DType dtype) {
  std::unordered_map<std::string_view, size_t> index_of;
  for (size_t i = 0; i < state_dict.tensors().size(); ++i) index_of.emplace(state_dict.tensors()[i].name, i);

  PackContents contents{cfg.tag.empty() ? cfg.architecture : cfg.architecture + "." + cfg.tag, cfg.json, {}, {}, {}};
  std::vector<size_t> sources;
  for (const std::string& name : parameter_names(cfg.architecture)) {
    const auto found = index_of.find(name);
    if (found == index_of.end()) continue;  // what the model may lack: `check_fits` has passed
    const TensorInfo& info = state_dict.tensors()[found->second];
    contents.tensors.push_back({name, stored_dtype(info, dtype), info.shape});
    contents.encodings.push_back(dtype == DType::int8 && suits_int8(info) ? Encoding::int8_rows : Encoding::plain);
    sources.push_back(found->second);
  }
  contents.read = [&state_dict, sources, tensors = contents.tensors](size_t index) {
    return convert_tensor(state_dict.read(sources[index]), tensors[index].dtype, tensors[index].name);
  };
  return contents;
}

uint64_t element_total(const StateDict& state_dict) {
  uint64_t total = 0;
  for (const TensorInfo& info : state_dict.tensors()) total += static_cast<uint64_t>(element_count(info.shape));
  return total;
}

std::string json_description(const StateDict& state_dict, const Pack* pack) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  const auto text = [&](std::string_view value) {
    writer.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  writer.StartObject();
  text("format"), text(state_dict.format());
  if (pack != nullptr) {
    text("version"), writer.Uint(pack->version());
    text("model"), text(pack->model());
    rapidjson::Document cfg;
    cfg.Parse<rapidjson::kParseIterativeFlag>(pack->cfg().data(), pack->cfg().size());
    text("cfg");
    if (cfg.HasParseError()) {
      writer.Null();
    } else {
      cfg.Accept(writer);
    }
  }
  text("tensors"), writer.StartArray();
  for (const TensorInfo& info : state_dict.tensors()) {
    writer.StartObject();
    text("name"), text(info.name);
    text("dtype"), text(name_of(info.dtype));
    text("shape"), writer.StartArray();
    for (const int64_t dim : info.shape) writer.Int64(dim);
    writer.EndArray();
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
  return buffer.GetString();
}

}  // namespace

void convert(const ConvertOptions& options) {
  std::error_code ignored;
  if (std::filesystem::equivalent(options.input, options.output, ignored)) {
    throw Error(ErrorCode::invalid_argument, "the output is the input, " + quote(options.input));
  }
  const PretrainedCfg cfg = pretrained_cfg(options.model);
  const auto checkpoint = load_state_dict(file_source(options.input), {}, options.key);
  const auto state_dict = filter_checkpoint(*checkpoint, parameter_names(cfg.architecture)).state_dict;
  check_fits(*state_dict, cfg);

  PackContents contents = contents_of(*state_dict, cfg, options.dtype);
  // Each tensor is read twice: for its checksum, and to be written.
  const size_t reads = 2 * contents.tensors.size();
  contents.read = [read = contents.read, reads, done = size_t{0}](size_t index) mutable {
    report_progress("packing", ++done, reads);
    return read(index);
  };
  OutputFile output(options.output);
  write_pack(contents, [&](std::span<const std::byte> bytes) { output.write(bytes); });
  output.commit();
  std::cout << options.output << ": " << contents.model << ", " << contents.tensors.size() << " tensors, "
            << std::filesystem::file_size(options.output) << " bytes\n";
}

void inspect(const std::string& path, bool json, const std::optional<std::string>& key) {
  const auto state_dict = load_state_dict(file_source(path), {}, key);
  const auto* pack = dynamic_cast<const Pack*>(state_dict.get());
  if (json) {
    std::cout << json_description(*state_dict, pack) << '\n';
    return;
  }
  std::cout << "format   " << state_dict->format() << '\n';
  if (pack != nullptr) std::cout << "version  " << pack->version() << "\nmodel    " << quote(pack->model()) << '\n';
  std::cout << "tensors  " << state_dict->tensors().size() << " of " << element_total(*state_dict) << " elements\n";
  for (const TensorInfo& info : state_dict->tensors()) {
    std::cout << quote(info.name) << ' ' << name_of(info.dtype) << ' ' << to_string(info.shape) << '\n';
  }
}

void verify(const std::string& path, const std::optional<std::string>& key) {
  const auto state_dict = load_state_dict(file_source(path), {}, key);
  const size_t count = state_dict->tensors().size();
  for (size_t i = 0; i < count; ++i) {
    state_dict->read(i);
    report_progress("reading", i + 1, count);
  }
  std::cout << path << ": " << state_dict->format() << ", " << count << " tensors can be read";
  if (const auto* pack = dynamic_cast<const Pack*>(state_dict.get())) {
    check_fits(*pack, pretrained_cfg(pack->model()));
    std::cout << " and match their checksums, every parameter of " << pack->model() << " is there";
  }
  std::cout << '\n';
}

}  // namespace wimm
