// The readers behind load_state_dict, one for each file format, and what they share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wimm/weights.h"

namespace wimm {

// Each checks the structure of the whole file before it returns, and reads no tensor data. `key` as in load_state_dict.
std::unique_ptr<StateDict> open_safetensors(std::shared_ptr<const ByteSource> source, const ReadLimits& limits);
std::unique_ptr<StateDict> open_pytorch_zip(std::shared_ptr<const ByteSource> source, const ReadLimits& limits,
                                            const std::optional<std::string>& key);
std::unique_ptr<StateDict> open_pytorch_legacy(std::shared_ptr<const ByteSource> source, const ReadLimits& limits,
                                               const std::optional<std::string>& key);

// Bytes of a tensor from a file, after checking its rank, its dimensions and the size against the limits.
uint64_t checked_byte_count(DType dtype, const Shape& shape, const ReadLimits& limits);
// A tensor for the data of one that passed that check. Errors: limit_exceeded where this address space cannot hold it.
Tensor allocate(const TensorInfo& info);
// Throws limit_exceeded where there are too many tensors, a name is too long, or all of them together are too large.
void check_limits(const std::vector<TensorInfo>& tensors, const ReadLimits& limits);
// Removes the prefixes that wrappers of a model leave (`module.`, `_orig_mod.`, `model.`), each only where all names
// have it.
void strip_wrapper_prefixes(std::vector<TensorInfo>& tensors);

}  // namespace wimm
