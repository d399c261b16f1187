// A family's table of variants: an array of structs that have a `name`.
#pragma once

#include <algorithm>
#include <string_view>

#include "models/families.h"

namespace wimm {

template <class Variant, size_t count>
constexpr VariantNames names_of(const Variant (&variants)[count]) {
  return {variants[0].name, count, sizeof(Variant)};
}

// A family of one variant, or of variants that differ in their names alone.
template <size_t count>
constexpr VariantNames names_of(const std::string_view (&variants)[count]) {
  return {variants[0], count, sizeof(std::string_view)};
}

// `name` is one of theirs.
template <class Variant, size_t count>
const Variant& find(const Variant (&variants)[count], std::string_view name) {
  return *std::ranges::find(variants, name, &Variant::name);
}

}  // namespace wimm
