// Values between C++ and JavaScript. Numbers cross as doubles, sizes in bytes too.
#pragma once

#include <emscripten/val.h>

#include <span>
#include <string>
#include <vector>

#include "wimm/error.h"
#include "wimm/model.h"
#include "wimm/tensor.h"

namespace wimm::bindings {

emscripten::val to_js(const Shape& shape);
emscripten::val to_js(const std::vector<std::string>& strings);
emscripten::val to_js(const FloatTensor& tensor);  // {data: Float32Array, shape}
emscripten::val to_js(const Tensor& tensor);       // {dtype, shape, data: Uint8Array}
emscripten::val to_js(const LoadReport& report);
emscripten::val to_js(const LayerProfile& layer);
emscripten::val to_js(const Model::FeatureLevel& level);
emscripten::val to_js(const ParameterInfo& parameter);
emscripten::val to_js(const Error& error);

template <class T>
emscripten::val to_js(const std::vector<T>& values) {
  emscripten::val array = emscripten::val::array();
  for (const T& value : values) array.call<void>("push", to_js(value));
  return array;
}

Shape shape_from_js(const emscripten::val& array);
DType dtype_from_js(const emscripten::val& name);
Tensor tensor_from_js(const emscripten::val& tensor);
// A copy of a typed array's elements.
std::vector<uint8_t> bytes_from_js(const emscripten::val& array);
// Of a typed array, to memory of as many elements.
template <class T>
void copy_from_js(const emscripten::val& array, std::span<T> to) {
  emscripten::val(emscripten::typed_memory_view(to.size(), to.data())).template call<void>("set", array);
}

}  // namespace wimm::bindings
