// The commands of wimm-pack. Each throws wimm::Error or std::runtime_error where it fails.
#pragma once

#include <optional>
#include <string>

#include "wimm/tensor.h"

namespace wimm {

struct ConvertOptions {
  std::string input, output;
  std::string model;               // an architecture of timm, or arch.tag
  DType dtype = DType::float32;    // or float16 or int8, for tensors of two dimensions and more
  std::optional<std::string> key;  // of the input's tensors, as for load_state_dict
};

void convert(const ConvertOptions& options);
void inspect(const std::string& path, bool json, const std::optional<std::string>& key);
void verify(const std::string& path, const std::optional<std::string>& key);

}  // namespace wimm
