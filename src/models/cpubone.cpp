// CPUBone: LowFormer for processors with few lanes (timm/models/cpubone.py). Paper: arXiv 2603.26425.
#include "models/lowformer_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

using namespace lowformer;

struct Variant {
  std::string_view name;
  int64_t channels;
  std::array<int64_t, 5> depths;
  int64_t ratio = 4, stem_ratio = 2;
  Norms norms = Norms::last;
  std::array<int64_t, 2> head{1536, 1600};
};

// clang-format off
constexpr Variant variants[] = {
    {"cpubone_nano", 12, {0, 1, 1, 1, 2}},
    {"cpubone_t0", 12, {0, 1, 1, 2, 3}},
    {"cpubone_s0", 14, {0, 1, 1, 2, 3}},
    {"cpubone_b0_bfrobust", 16, {0, 1, 1, 3, 4}, 4, 2, Norms::all},
    {"cpubone_b1_bfrobust", 16, {0, 1, 1, 5, 5}, 6, 2, Norms::all},
    {"cpubone_b1_dwnorm", 16, {0, 1, 1, 5, 5}, 6, 2, Norms::last_two},
    {"cpubone_b2_bfrobust", 20, {0, 1, 1, 6, 6}, 6, 2, Norms::all, {2304, 2560}},
    {"cpubone_b2pt5_dwnorm", 24, {0, 1, 1, 6, 6}, 6, 2, Norms::last_two, {2304, 2560}},
    {"cpubone_b3", 32, {1, 2, 3, 6, 6}, 6, 4},
};
// clang-format on

Network build_variant(std::string_view name, const BuildOptions& options) {
  const auto& [_, channels, depths, ratio, stem_ratio, norms, head] = find(variants, name);
  return build({channels, depths, ratio, stem_ratio, head, true, true, true, norms}, options);
}

}  // namespace

extern constinit const Family cpubone_family{"cpubone", names_of(variants), build_variant};

}  // namespace wimm
