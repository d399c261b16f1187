// Matching, sorting and comparing model names as timm does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wimm {

// Python's fnmatch.fnmatchcase.
bool matches_wildcard(std::string_view name, std::string_view pattern);

// Natural order: numbers by value, letters without regard to case.
void sort_naturally(std::vector<std::string>& names);

// The three of `candidates` that take the fewest edits to become `name`, nearest first; none for an overlong name.
std::vector<std::string_view> nearest_names(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace wimm
