// Values between C++ and JavaScript.
#include "bindings/convert.h"

#include <algorithm>

namespace wimm::bindings {

using emscripten::typed_memory_view;
using emscripten::val;

namespace {

// A copy of memory as a typed array of JavaScript's own.
template <class T>
val copy_to_js(const T* data, size_t size) {
  return val(typed_memory_view(size, data)).template call<val>("slice");
}

template <class T>
val list(const std::vector<T>& values) {
  val array = val::array();
  for (const T& value : values) array.call<void>("push", value);
  return array;
}

}  // namespace

val to_js(const Shape& shape) { return list(std::vector<double>(shape.begin(), shape.end())); }
val to_js(const std::vector<std::string>& strings) { return list(strings); }

val to_js(const FloatTensor& tensor) {
  val result = val::object();
  result.set("data", copy_to_js(tensor.data.data(), tensor.data.size()));
  result.set("shape", to_js(tensor.shape));
  return result;
}

val to_js(const Tensor& tensor) {
  val result = val::object();
  result.set("dtype", std::string(name_of(tensor.dtype)));
  result.set("shape", to_js(tensor.shape));
  result.set("data", copy_to_js(reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size()));
  return result;
}

val to_js(const LoadReport& report) {
  val result = val::object();
  result.set("missing", to_js(report.missing));
  result.set("unexpected", to_js(report.unexpected));
  result.set("mismatched", to_js(report.mismatched));
  return result;
}

val to_js(const LayerProfile& layer) {
  val result = val::object();
  result.set("name", layer.name);
  result.set("kind", layer.kind);
  result.set("shape", to_js(layer.shape));
  result.set("milliseconds", layer.milliseconds);
  result.set("multiplyAdds", layer.multiply_adds);
  return result;
}

val to_js(const Model::FeatureLevel& level) {
  val result = val::object();
  result.set("module", level.module);
  result.set("channels", static_cast<double>(level.channels));
  result.set("reduction", static_cast<double>(level.reduction));
  return result;
}

val to_js(const ParameterInfo& parameter) {
  val result = val::object();
  result.set("name", parameter.name);
  result.set("dtype", std::string(name_of(parameter.dtype)));
  result.set("shape", to_js(parameter.shape));
  return result;
}

val to_js(const Error& error) {
  val result = val::object();
  result.set("code", std::string(code_name(error.code())));
  result.set("message", std::string(error.what()));
  if (error.tensor()) result.set("tensor", *error.tensor());
  if (error.offset()) result.set("offset", static_cast<double>(*error.offset()));
  result.set("missing", to_js(error.missing));
  result.set("unexpected", to_js(error.unexpected));
  result.set("mismatched", to_js(error.mismatched));
  return result;
}

Shape shape_from_js(const val& array) {
  Shape shape;
  for (unsigned i = 0; i < array["length"].as<unsigned>(); ++i)
    shape.push_back(static_cast<int64_t>(array[i].as<double>()));
  return shape;
}

DType dtype_from_js(const val& name) {
  const auto wanted = name.as<std::string>();
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
    if (name_of(static_cast<DType>(i)) == wanted) return static_cast<DType>(i);
  throw Error(ErrorCode::invalid_argument, "unknown element type " + quote(wanted));
}

Tensor tensor_from_js(const val& tensor) {
  const std::vector<uint8_t> bytes = bytes_from_js(tensor["data"]);
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return {dtype_from_js(tensor["dtype"]), shape_from_js(tensor["shape"]), {begin, begin + bytes.size()}};
}

std::vector<uint8_t> bytes_from_js(const val& array) {
  std::vector<uint8_t> bytes(array["length"].as<size_t>());
  copy_from_js(array, std::span(bytes));
  return bytes;
}

}  // namespace wimm::bindings
