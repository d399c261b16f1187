// A visitor of variants made of lambdas.
#pragma once

namespace wimm {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;  // older clangs deduce none of their own

}  // namespace wimm
