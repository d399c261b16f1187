// The list of families, which CMake makes: see cmake/families.cmake.
#include "models/families.h"

#include <algorithm>

#include "wimm/error.h"

namespace wimm {

#define WIMM_FAMILY(module) Family module##_family();
#include "families.inc"
#undef WIMM_FAMILY

std::span<const Family> families() {
#define WIMM_FAMILY(module) module##_family(),
  static const Family all[] = {
#include "families.inc"
  };
#undef WIMM_FAMILY
  return all;
}

std::vector<std::string_view> list_variants() {
  std::vector<std::string_view> names;
  for (const Family& family : families()) {
    for (const std::string_view name : family.variants()) names.push_back(name);
  }
  return names;
}

Network build_network(std::string_view variant, const BuildOptions& options) {
  for (const Family& family : families()) {
    const std::vector<std::string_view> names = family.variants();
    if (std::ranges::find(names, variant) != names.end()) return family.build(variant, options);
  }
  throw Error(ErrorCode::unknown_model, "unknown model " + quote(variant) + ": see the list of models");
}

}  // namespace wimm
