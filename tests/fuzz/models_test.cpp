// The corpora of the fuzzers of models and images.
#include <doctest/doctest.h>

#include "fuzz/replay.h"
#include "fuzz/targets.h"

using namespace wimm;

TEST_CASE("what the fuzzers of models and images found is computed or refused") {
  CHECK(fuzz::replay("model", fuzz::model) > 0);
  CHECK(fuzz::replay("preprocess", fuzz::preprocess) > 0);
}
