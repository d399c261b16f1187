// A fuzzer of libFuzzer's: WIMM_FUZZ_TARGET names what it runs.
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wimm::fuzz::WIMM_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
