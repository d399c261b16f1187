// A weights file that JavaScript holds.
#pragma once

#include <emscripten/val.h>

#include "wimm/weights.h"

namespace wimm::bindings {

// Over an object {size, read(offset, target: Uint8Array)}. Its bytes enter WebAssembly's memory only where they are
// read.
class JsSource : public ByteSource {
 public:
  explicit JsSource(emscripten::val object);

  uint64_t size() const override { return size_; }
  void read(uint64_t offset, std::span<std::byte> out) const override;

 private:
  emscripten::val object_;
  uint64_t size_;
};

}  // namespace wimm::bindings
