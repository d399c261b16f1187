// Names found, and parts of them taken, replaced and kept.
#include "weights/renames.h"

#include <algorithm>
#include <charconv>

namespace wimm {

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::optional<unsigned> take_index(std::string_view& name) {
  unsigned index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const auto digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || digits == name.size() || name[digits] != '.') return std::nullopt;
  name.remove_prefix(digits + 1);
  return index;
}

void replace_all(std::string& name, std::string_view from, std::string_view to) {
  for (size_t at = name.find(from); at != std::string::npos; at = name.find(from, at + to.size()))
    name.replace(at, from.size(), to);
}

void replace_all(std::vector<std::string>& names, std::span<const Rename> renames) {
  for (std::string& name : names)
    for (const auto& [from, to] : renames) replace_all(name, from, to);
}

void keep_module(std::vector<std::string>& names, std::string_view prefix) {
  for (std::string& name : names) name = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
}

}  // namespace wimm
