// Every architecture has timm's parameters: their names, shapes and order.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "models/families.h"
#include "parity/goldens.h"

using namespace wimm;

TEST_CASE("every architecture has timm's parameters, in timm's order") {
  for (const parity::Golden& golden : parity::read_goldens()) {
    INFO(parity::title(golden));
    CHECK(parity::digest(parity::checkpoint_tensors(golden)) == golden.digest);
  }
}

TEST_CASE("every architecture has a golden") {
  std::set<std::string, std::less<>> names;
  for (const parity::Golden& golden : parity::read_goldens()) names.insert(golden.model);
  for (const std::string_view variant : list_variants()) {
    INFO(variant);
    CHECK(names.contains(variant));
  }
}
