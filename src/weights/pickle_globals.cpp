// The exact list of globals that checkpoints of weights need.
#include "weights/pickle_globals.h"

namespace wimm::pickle {

namespace {

using Role = Global::Role;

struct AllowedGlobal {
  std::string_view module, name;
  Global global;
};

constexpr AllowedGlobal kAllowedGlobals[] = {
    {"collections", "OrderedDict", {Role::ordered_dict}},
    {"torch._utils", "_rebuild_tensor", {Role::rebuild_tensor}},
    {"torch._utils", "_rebuild_tensor_v2", {Role::rebuild_tensor}},
    {"torch._utils", "_rebuild_parameter", {Role::rebuild_parameter}},
    {"torch", "FloatStorage", {Role::storage_type, DType::float32}},
    {"torch", "HalfStorage", {Role::storage_type, DType::float16}},
    {"torch", "BFloat16Storage", {Role::storage_type, DType::bfloat16}},
    {"torch", "DoubleStorage", {Role::storage_type, DType::float64}},
    {"torch", "LongStorage", {Role::storage_type, DType::int64}},
    {"torch", "IntStorage", {Role::storage_type, DType::int32}},
    {"torch", "ShortStorage", {Role::storage_type, DType::int16}},
    {"torch", "CharStorage", {Role::storage_type, DType::int8}},
    {"torch", "ByteStorage", {Role::storage_type, DType::uint8}},
    {"torch", "BoolStorage", {Role::storage_type, DType::boolean}},
    // Beside the weights of training checkpoints.
    {"argparse", "Namespace", {Role::inert}},
    {"numpy.core.multiarray", "scalar", {Role::inert}},
    {"numpy._core.multiarray", "scalar", {Role::inert}},
    {"numpy", "dtype", {Role::inert}},
    {"_codecs", "encode", {Role::inert}},
};

}  // namespace

std::optional<Global> find_global(std::string_view module, std::string_view name) {
  for (const AllowedGlobal& allowed : kAllowedGlobals) {
    if (allowed.module == module && allowed.name == name) return allowed.global;
  }
  return std::nullopt;
}

}  // namespace wimm::pickle
