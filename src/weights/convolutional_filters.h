// Checkpoints of convolutional networks under the names of other projects.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace wimm {

// Gives `names` of a checkpoint those of the model with these parameters; "" for what is of no model. Returns whether
// its classifier was a projection without a bias.
bool rename_convolutional(std::span<const std::string> parameters, std::vector<std::string>& names);

}  // namespace wimm
