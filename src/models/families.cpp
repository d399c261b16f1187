// The list of families.
#include "models/families.h"

#include <algorithm>

#include "wimm/error.h"

namespace wimm {
namespace {

// Beyond these a model could not be held in memory, and sizes could overflow.
constexpr int64_t max_in_chans = 65'536, max_num_classes = 16'777'216;

void check_options(const BuildOptions& options) {
  const auto check = [](std::string_view what, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return;
    throw Error(ErrorCode::invalid_argument, std::string(what) + " must be between " + std::to_string(least) + " and " +
                                                 std::to_string(most) + ", got " + std::to_string(value));
  };
  check("the number of input channels", options.in_chans, 1, max_in_chans);
  check("the number of classes", options.num_classes, 0, max_num_classes);
}

}  // namespace

std::span<const Family> families() {
  static const Family all[] = {resnet_family()};
  return all;
}

std::vector<std::string_view> list_variants() {
  std::vector<std::string_view> names;
  for (const Family& family : families()) {
    for (const std::string_view name : family.variants()) names.push_back(name);
  }
  return names;
}

Network build_network(std::string_view variant, const BuildOptions& options) {
  check_options(options);
  for (const Family& family : families()) {
    const std::vector<std::string_view> names = family.variants();
    if (std::ranges::find(names, variant) != names.end()) return family.build(variant, options);
  }
  throw Error(ErrorCode::unknown_model, "unknown model " + quote(variant) + ": see the list of models");
}

}  // namespace wimm
