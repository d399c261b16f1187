// A data-only virtual machine for Python pickles, as torch.save writes them.
//
// It builds plain data and nothing else: there is no way to call, import or look up anything. A global is accepted only
// if it is on the exact list in pickle_globals.cpp, when it is pushed, whether or not it is used. Values live in one
// arena and refer to each other by index, so neither nesting nor cycles can exhaust the stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weights/bytes.h"
#include "wimm/tensor.h"
#include "wimm/weights.h"

namespace wimm::pickle {

// A value, by its index in the arena.
using Ref = uint32_t;

struct None {};
// A value whose content is of no use to us: bytes, an argparse.Namespace, a NumPy scalar.
struct Opaque {};
// An integer beyond 64 bits, as its little-endian two's complement.
struct BigInteger {
  std::string bytes;
};
struct Tuple {
  std::vector<Ref> items;
};
struct List {
  std::vector<Ref> items;
};
struct Dict {
  std::vector<std::pair<Ref, Ref>> items;
};
// What the globals on the list stand for.
struct Global {
  enum class Role : uint8_t { ordered_dict, rebuild_tensor, rebuild_parameter, storage_type, inert } role;
  DType dtype = DType::float32;  // of a storage_type
};
// An index into Object::storages or Object::tensors.
struct StorageRef {
  uint32_t index;
};
struct TensorRef {
  uint32_t index;
};
using Value = std::variant<None, Opaque, bool, int64_t, BigInteger, double, std::string, Tuple, List, Dict, Global,
                           StorageRef, TensorRef>;

// A typed block of bytes beside the pickle, under a key.
struct Storage {
  std::string key;
  DType dtype;
  uint64_t size;  // in elements
};

// A strided view of a storage, inside its bounds.
struct TensorView {
  uint32_t storage;
  uint64_t offset;  // in elements, as the strides
  Shape shape;
  std::vector<uint64_t> strides;
};

// What a pickle holds.
struct Object {
  std::vector<Value> values;
  std::vector<Storage> storages;
  std::vector<TensorView> tensors;
  Ref root = 0;

  // The value as a T, or null where it is of another type.
  template <typename T>
  const T* get(Ref ref) const {
    return std::get_if<T>(&values[ref]);
  }
  // The value under a string key of a dictionary.
  std::optional<Ref> find(const Dict& dict, std::string_view key) const;
};

// Reads one pickle, leaving the stream behind its STOP.
// Errors: pickle_forbidden, format_truncated, format_corrupt, format_unsupported, limit_exceeded.
Object load(ByteStream& stream, const ReadLimits& limits);

}  // namespace wimm::pickle
