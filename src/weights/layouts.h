// Names of other projects' checkpoints as timm has them.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace wimm {

// Gives a checkpoint's tensors the names of the model's parameters, where it is in a layout that timm converts for such
// a model by names alone.
void rename_layout(std::span<const std::string> parameters, std::vector<std::string>& names);

}  // namespace wimm
