// A weights file that JavaScript holds.
#include "bindings/js_source.h"

#include "wimm/error.h"

namespace wimm::bindings {

using emscripten::typed_memory_view;
using emscripten::val;

JsSource::JsSource(val object)
    : object_(std::move(object)), size_(static_cast<uint64_t>(object_["size"].as<double>())) {}

void JsSource::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    throw Error(ErrorCode::format_truncated,
                "the file ends before byte " + std::to_string(offset) + " + " + std::to_string(out.size()))
        .at_offset(size_);
  if (out.empty()) return;
  object_.call<void>("read", static_cast<double>(offset),
                     val(typed_memory_view(out.size(), reinterpret_cast<uint8_t*>(out.data()))));
}

}  // namespace wimm::bindings
