// The families of models that can be built.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace wimm {

// What a caller may change of a variant.
struct BuildOptions {
  int64_t in_chans = 3;
  int64_t num_classes = 1000;              // 0: no classifier
  std::optional<std::string> global_pool;  // timm's names, "" (none); else the variant's own
  std::optional<Size2d> img_size;          // for models of fixed size
  bool pretrained = false;                 // the weights will be those that timm offers
};

// One of timm's model modules, such as `resnet`.
struct Family {
  std::string_view module;
  std::vector<std::string_view> (*variants)();
  // `variant` is one of `variants()`.
  Network (*build)(std::string_view variant, const BuildOptions& options);
};

// One a file of this folder: `Family <module>_family();`. Those that are built in:
std::span<const Family> families();
// Every variant of every family.
std::vector<std::string_view> list_variants();
// Errors: unknown_model, invalid_argument.
Network build_network(std::string_view variant, const BuildOptions& options);

}  // namespace wimm
