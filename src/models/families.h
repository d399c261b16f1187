// The families of models that can be built.
#pragma once

#include <cstddef>
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

// The names in a table of variants, where they are: to look for one of 1,300 runs no code of each family's own, which
// a browser would have to compile first.
class VariantNames {
 public:
  // `first` is in a table of `count` elements, `stride` bytes apart.
  constexpr VariantNames(const std::string_view& first, size_t count, size_t stride)
      : first_(&first), count_(count), stride_(stride) {}

  size_t size() const { return count_; }
  std::string_view operator[](size_t index) const {
    return *reinterpret_cast<const std::string_view*>(reinterpret_cast<const std::byte*>(first_) + index * stride_);
  }
  bool contains(std::string_view name) const;

 private:
  const std::string_view* first_;
  size_t count_, stride_;
};

// One of timm's model modules, such as `resnet`.
struct Family {
  std::string_view module;
  VariantNames variants;
  // `variant` is one of `variants`.
  Network (*build)(std::string_view variant, const BuildOptions& options);
};

// One a file of this folder: `extern const Family <module>_family`. Those that are built in:
std::span<const Family* const> families();
// Every variant of every family.
std::vector<std::string_view> list_variants();
// Errors: unknown_model, invalid_argument.
Network build_network(std::string_view variant, const BuildOptions& options);

}  // namespace wimm
