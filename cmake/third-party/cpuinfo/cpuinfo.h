// The part of cpuinfo's interface that XNNPACK's x86 configuration asks for, over the compiler's own CPU detection.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cpuinfo_uarch {
  cpuinfo_uarch_unknown,
  cpuinfo_uarch_zen,
  cpuinfo_uarch_dhyana,
};

struct cpuinfo_core {
  enum cpuinfo_uarch uarch;
};

static inline bool cpuinfo_initialize(void) { return true; }

// XNNPACK asks only whether the core has Zen 1's slow 256-bit units.
static inline const struct cpuinfo_core* cpuinfo_get_core(uint32_t index) {
  static const struct cpuinfo_core zen = {cpuinfo_uarch_zen}, other = {cpuinfo_uarch_unknown};
  (void)index;
  return __builtin_cpu_is("znver1") ? &zen : &other;
}

static inline bool cpuinfo_has_x86_ssse3(void) { return __builtin_cpu_supports("ssse3"); }
static inline bool cpuinfo_has_x86_sse4_1(void) { return __builtin_cpu_supports("sse4.1"); }
static inline bool cpuinfo_has_x86_avx(void) { return __builtin_cpu_supports("avx"); }
static inline bool cpuinfo_has_x86_f16c(void) { return false; }
static inline bool cpuinfo_has_x86_fma3(void) { return __builtin_cpu_supports("fma"); }
static inline bool cpuinfo_has_x86_avx2(void) { return __builtin_cpu_supports("avx2"); }
static inline bool cpuinfo_has_x86_avx512f(void) { return __builtin_cpu_supports("avx512f"); }
