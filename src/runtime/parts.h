// Values that lie in others, so that nothing is copied between them.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace wimm {

// Places what is concatenated in the concatenation, and slices in what they are cut from, where all kernels that write
// or read them can. A value lies in one place: what is concatenated twice is copied once.
void place_parts(Graph& graph, const std::vector<bool>& needed);

}  // namespace wimm
