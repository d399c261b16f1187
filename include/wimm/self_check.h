// Whether this build computes rightly on this machine.
#pragma once

namespace wimm {

// Computes a few small convolutions with kernels of the kind that models use, on so many threads: whether the result is
// what integer arithmetic gives. Errors: out_of_memory where the threads cannot start.
bool self_check(int threads);

}  // namespace wimm
