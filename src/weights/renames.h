// What those share who give the names of a checkpoint those of a model.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wimm {

struct Rename {
  std::string_view from, to;
};

bool contains(std::span<const std::string> names, std::string_view name);

// Takes "12." off the front of a name.
std::optional<unsigned> take_index(std::string_view& name);

// Each occurrence of `from`.
void replace_all(std::string& name, std::string_view from, std::string_view to);
void replace_all(std::vector<std::string>& names, std::span<const Rename> renames);

// Keeps what begins with `prefix`, without it; the rest of the checkpoint is another model, and becomes "".
void keep_module(std::vector<std::string>& names, std::string_view prefix);

}  // namespace wimm
