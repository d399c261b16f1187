// Listing and looking up models, as the JavaScript catalogue does.
#include "wimm/catalogue.h"

#include <algorithm>
#include <utility>

#include "catalogue/match.h"
#include "catalogue/table.h"
#include "wimm/error.h"

namespace wimm {
namespace {

constexpr std::string_view current_release = "1.0.31";

// The name of an architecture, and what follows the first dot, dot included.
std::pair<std::string_view, std::string_view> split_tag(std::string_view name) {
  const size_t dot = std::min(name.find('.'), name.size());
  return {name.substr(0, dot), name.substr(dot)};
}

template <typename Value>
const Value* find(const std::map<std::string_view, Value>& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : &found->second;
}

std::vector<Listed> listed_now(const ListModelsOptions& options) {
  std::vector<Listed> out;
  for (const auto& [name, architecture] : catalogue().architectures) {
    if (options.release.empty() && !catalogue().creates(architecture)) continue;
    const auto add = [&, &architecture = architecture](std::string_view tag, std::string listed_name) {
      out.push_back({std::move(listed_name), architecture.module(), architecture.has_weights(tag)});
    };
    if (options.tags) {
      for (const std::string_view tag : architecture.tags()) add(tag, architecture.name_of(tag));
    } else {
      add(architecture.tags().front(), std::string(name));
    }
  }
  return out;
}

std::vector<Listed> listed(const ListModelsOptions& options) {
  if (options.release.empty() || options.release == current_release) return listed_now(options);
  if (const auto* models = find(catalogue().releases, options.release)) return *models;
  throw Error(ErrorCode::invalid_argument, "The catalogue has no release " + quote(options.release));
}

// Where names have tags, a wildcard without one matches whatever the tag.
std::vector<std::string> expand(const std::vector<std::string>& wildcards, bool tags) {
  std::vector<std::string> out = wildcards;
  for (const std::string& wildcard : wildcards) {
    const auto [arch, tag] = split_tag(wildcard);
    if (tags && tag.size() < 2) out.push_back(std::string(arch) + ".*");
  }
  return out;
}

bool matches_any(std::string_view name, const std::vector<std::string>& wildcards) {
  return std::ranges::any_of(wildcards, [&](const std::string& wildcard) { return matches_wildcard(name, wildcard); });
}

const Architecture* find_architecture(std::string_view arch) {
  const Architecture* current = find(catalogue().architectures, arch);
  return current ? current : find(catalogue().retired, arch);
}

Error unknown_model(std::string_view name, const Architecture* architecture) {
  std::vector<std::string> tagged;
  std::vector<std::string_view> candidates;
  if (architecture) {
    for (const std::string_view tag : architecture->tags()) tagged.push_back(architecture->name_of(tag));
    candidates.assign(tagged.begin(), tagged.end());
  } else {
    for (const auto& [known, unused] : catalogue().architectures) candidates.push_back(known);
    for (const auto& [known, unused] : catalogue().deprecated) candidates.push_back(known);
    for (const auto& [known, unused] : catalogue().retired) candidates.push_back(known);
  }
  std::string message = "Unknown model " + quote(name);
  std::string_view separator = "; the nearest names are ";
  for (const std::string_view nearest : nearest_names(name, candidates)) {
    message.append(std::exchange(separator, ", ")).append(nearest);
  }
  return Error(ErrorCode::unknown_model, std::move(message));
}

}  // namespace

std::vector<std::string> list_models(const ListModelsOptions& options) {
  const bool tags = options.tags && (options.release.empty() || options.release == current_release);
  const auto filter = expand(options.filter, tags), exclude = expand(options.exclude, tags);
  std::vector<std::string> names;
  for (Listed& model : listed(options)) {
    if (!options.modules.empty() && !std::ranges::count(options.modules, model.module)) continue;
    if (options.pretrained && !model.pretrained) continue;
    if (!filter.empty() && !matches_any(model.name, filter)) continue;
    if (!matches_any(model.name, exclude)) names.push_back(std::move(model.name));
  }
  sort_naturally(names);
  return names;
}

bool is_model(std::string_view name) {
  const auto [arch, tag] = split_tag(name);
  return find_architecture(arch) || find(catalogue().deprecated, arch);
}

PretrainedCfg pretrained_cfg(std::string_view name) {
  const std::string_view* replacement = find(catalogue().deprecated, name);
  const auto [arch, tag] = split_tag(replacement ? *replacement : name);
  const Architecture* architecture = find_architecture(arch);
  if (!architecture) throw unknown_model(name, nullptr);
  if (tag.empty()) return architecture->cfg(architecture->tags().front());
  const bool known = tag.size() > 1 && std::ranges::count(architecture->tags(), tag.substr(1));
  if (!known) throw unknown_model(name, architecture);
  return architecture->cfg(tag.substr(1));
}

}  // namespace wimm
