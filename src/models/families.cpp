// The list of families, which CMake makes: see cmake/families.cmake.
#include "models/families.h"

#include "wimm/error.h"

namespace wimm {

#define WIMM_FAMILY(module) extern const Family module##_family;
#include "families.inc"
#undef WIMM_FAMILY

bool VariantNames::contains(std::string_view name) const {
  for (size_t i = 0; i < size(); ++i)
    if ((*this)[i] == name) return true;
  return false;
}

std::span<const Family* const> families() {
#define WIMM_FAMILY(module) &module##_family,
  static constexpr const Family* all[] = {
#include "families.inc"
  };
#undef WIMM_FAMILY
  return all;
}

std::vector<std::string_view> list_variants() {
  std::vector<std::string_view> names;
  for (const Family* family : families())
    for (size_t i = 0; i < family->variants.size(); ++i) names.push_back(family->variants[i]);
  return names;
}

Network build_network(std::string_view variant, const BuildOptions& options) {
  for (const Family* family : families())
    if (family->variants.contains(variant)) return family->build(variant, options);
  throw Error(ErrorCode::unknown_model, "unknown model " + quote(variant) + ": see the list of models");
}

}  // namespace wimm
