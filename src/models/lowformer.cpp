// LowFormer: attention at a lower resolution between fused convolutions (timm/models/lowformer.py).
// Papers: arXiv 2409.03460, 2603.26551 (edge variants).
#include "models/lowformer_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

using namespace lowformer;

struct Variant {
  std::string_view name;
  Spec spec;
};

// clang-format off
constexpr Variant variants[] = {
    {"lowformer_b0", {16, {0, 1, 1, 3, 4}}},
    {"lowformer_b1", {16, {0, 1, 1, 5, 5}, 6}},
    {"lowformer_b15", {20, {0, 1, 1, 6, 6}, 6, 2, {2304, 2560}}},
    {"lowformer_b2", {24, {0, 1, 1, 6, 6}, 6, 2, {2304, 2560}}},
    {"lowformer_b3", {32, {1, 2, 3, 6, 6}, 6, 4}},
    {"lowformer_e1", {20, {0, 1, 1, 4, 4}, 6, 2, {2304, 2560}, false, false}},
    {"lowformer_e2", {32, {1, 2, 3, 4, 4}, 6, 4, {1536, 1600}, false, false}},
    {"lowformer_e3", {32, {1, 2, 3, 6, 6}, 6, 4, {1536, 1600}, true, false}},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family lowformer_family{"lowformer", names_of(variants), build_variant};

}  // namespace wimm
