// What the kernels on XNNPACK's operators share.
#pragma once

#include <xnnpack.h>

#include <memory>

#include "graph/ops.h"

namespace wimm {

struct DeleteOperator {
  void operator()(xnn_operator* op) const { xnn_delete_operator(op); }
};
using XnnOperator = std::unique_ptr<xnn_operator, DeleteOperator>;

// Starts XNNPACK once. Throws runtime_crashed where it will not run on this machine.
void initialize_xnnpack();

// Throws out_of_memory or runtime_crashed for anything but success; `what` names the layer.
void check(xnn_status status, std::string_view what);

}  // namespace wimm
