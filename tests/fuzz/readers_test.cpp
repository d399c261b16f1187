// The corpora of the readers' fuzzers.
#include <doctest/doctest.h>

#include "fuzz/replay.h"
#include "fuzz/targets.h"

using namespace wimm;

TEST_CASE("what the fuzzers of the readers found is read or refused, whole") {
  CHECK(fuzz::replay("safetensors", fuzz::safetensors) > 0);
  CHECK(fuzz::replay("zip", fuzz::zip) > 0);
  CHECK(fuzz::replay("pickle", fuzz::pickle) > 0);
  CHECK(fuzz::replay("legacy", fuzz::legacy) > 0);
  CHECK(fuzz::replay("pack", fuzz::pack) > 0);
  CHECK(fuzz::replay("repack", fuzz::repack) > 0);
}
