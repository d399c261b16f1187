// The globals that a pickle may name.
#pragma once

#include <optional>
#include <string_view>

#include "weights/pickle.h"

namespace wimm::pickle {

// What a global stands for; nothing where it is not on the list. Names are compared byte for byte.
std::optional<Global> find_global(std::string_view module, std::string_view name);

}  // namespace wimm::pickle
