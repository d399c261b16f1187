// What LowFormer and CPUBone are built from: fused convolutions, then attention at a lower resolution.
#pragma once

#include <array>
#include <cstdint>

#include "models/families.h"

namespace wimm::lowformer {

// Which convolutions of wide blocks have a norm, beside the last.
enum class Norms : uint8_t { last, last_two, all };

struct Spec {
  int64_t channels;                   // of the stem, doubled in each stage
  std::array<int64_t, 5> depths;      // of the stem and the stages
  int64_t ratio = 4, stem_ratio = 2;  // of strided blocks, of the stem's
  std::array<int64_t, 2> head{1536, 1600};
  bool attention = true, mlp = true;
  // CPUBone: convolutions in two groups, even kernels, no learned upsampling.
  bool cpubone = false;
  Norms norms = Norms::last;
};

Network build(const Spec& spec, const BuildOptions& options);

}  // namespace wimm::lowformer
