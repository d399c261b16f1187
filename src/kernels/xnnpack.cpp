// XNNPACK's start-up and its status codes.
#include "kernels/xnnpack.h"

#include <string>

#include "kernels/kernel.h"
#include "wimm/error.h"

namespace wimm {

static_assert(overread_floats * sizeof(float) >= XNN_EXTRA_BYTES);

void initialize_xnnpack() {
  static const xnn_status status = xnn_initialize(nullptr);
  check(status, "XNNPACK");
}

void check(xnn_status status, std::string_view what) {
  if (status == xnn_status_success) return;
  if (status == xnn_status_out_of_memory)
    throw Error(ErrorCode::out_of_memory, "out of memory in " + std::string(what));
  throw Error(ErrorCode::runtime_crashed,
              std::string(what) + ": XNNPACK refused the operator (status " + std::to_string(status) + ")");
}

}  // namespace wimm
