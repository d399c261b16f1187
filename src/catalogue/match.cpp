// Wildcards, natural order and the distance of names.
#include "catalogue/match.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

namespace wimm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return out;
}

// Whether `character` is in a set such as "a-fxyz".
bool is_in_set(char character, std::string_view set) {
  for (size_t i = 0; i < set.size(); i++) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      if (set[i] <= character && character <= set[i + 2]) return true;
      i += 2;
    } else if (set[i] == character) {
      return true;
    }
  }
  return false;
}

// Where `pattern` goes on after the element at `p`, or 0 where that element does not match `character`.
size_t match_character(char character, std::string_view pattern, size_t p) {
  if (p == pattern.size()) return 0;
  if (pattern[p] == '[') {
    const bool negated = p + 1 < pattern.size() && pattern[p + 1] == '!';
    const size_t start = p + (negated ? 2 : 1);
    const size_t end = pattern.find(']', start + 1);  // a bracket that comes first stands for itself
    if (end != pattern.npos) return is_in_set(character, pattern.substr(start, end - start)) != negated ? end + 1 : 0;
  }
  return pattern[p] == '?' || pattern[p] == character ? p + 1 : 0;
}

// Text and the number after it, alternating; -1 where the name ends in text.
using NaturalKey = std::vector<std::pair<std::string, int64_t>>;

NaturalKey natural_key(std::string_view name) {
  NaturalKey key;
  for (auto rest = name.begin();;) {
    const auto digits = std::find_if(rest, name.end(), is_digit);
    const auto text = std::find_if_not(digits, name.end(), is_digit);
    const int64_t number =
        std::accumulate(digits, text, int64_t{0}, [](int64_t n, char c) { return 10 * n + (c - '0'); });
    key.emplace_back(lower_case({rest, digits}), digits == text ? -1 : number);
    if (digits == text) return key;
    rest = text;
  }
}

// Damerau and Levenshtein's distance (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last, last(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); i++) {
    std::vector<size_t> row(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t substituted = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = std::exchange(last, std::move(row));
  }
  return last.back();
}

}  // namespace

bool matches_wildcard(std::string_view name, std::string_view pattern) {
  size_t n = 0, p = 0;
  std::optional<std::pair<size_t, size_t>> retry;  // after the last star: the name's start, where the pattern goes on
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      retry = {n, ++p};
      continue;
    }
    const size_t end = n < name.size() ? match_character(name[n], pattern, p) : 0;
    if (end != 0) {
      n++;
      p = end;
    } else if (retry && retry->first < name.size()) {
      n = ++retry->first;
      p = retry->second;
    } else {
      return false;
    }
  }
  return true;
}

void sort_naturally(std::vector<std::string>& names) {
  std::vector<std::pair<NaturalKey, std::string>> keyed;
  for (std::string& name : names) keyed.emplace_back(natural_key(name), std::move(name));
  std::sort(keyed.begin(), keyed.end());
  std::transform(keyed.begin(), keyed.end(), names.begin(), [](auto& entry) { return std::move(entry.second); });
}

std::vector<std::string_view> nearest_names(std::string_view name, const std::vector<std::string_view>& candidates) {
  constexpr size_t longest_name = 100;
  if (name.size() > longest_name) return {};
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const std::string_view candidate : candidates) {
    ranked.emplace_back(edit_distance(lower_case(name), candidate), candidate);
  }
  const auto nearer = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::stable_sort(ranked.begin(), ranked.end(), nearer);
  std::vector<std::string_view> nearest;
  for (const auto& [distance, candidate] : ranked) {
    if (nearest.size() < 3) nearest.push_back(candidate);
  }
  return nearest;
}

}  // namespace wimm
