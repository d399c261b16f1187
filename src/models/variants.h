// A family's table of variants: an array of structs that have a `name`.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace wimm {

template <class Variant, size_t count>
std::vector<std::string_view> names_of(const Variant (&variants)[count]) {
  std::vector<std::string_view> names;
  for (const Variant& variant : variants) names.push_back(variant.name);
  return names;
}

// `name` is one of theirs.
template <class Variant, size_t count>
const Variant& find(const Variant (&variants)[count], std::string_view name) {
  return *std::ranges::find(variants, name, &Variant::name);
}

}  // namespace wimm
