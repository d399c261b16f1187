// A visitor of variants made of lambdas.
#pragma once

namespace wimm {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

}  // namespace wimm
