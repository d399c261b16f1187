// What timm computed: goldens/*.json, written by make_goldens.py.
#pragma once

#include <rapidjson/document.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wimm/tensor.h"
#include "wimm/weights.h"

namespace wimm::parity {

// A tensor of timm's, as statistics and some elements (those at random_bits(fnv1a("samples"), i) mod size).
struct GoldenTensor {
  Shape shape;
  double mean, std, max;
  std::vector<double> samples;
};

// A level of timm's features_only.
struct GoldenLevel {
  std::string module;
  int64_t channels, reduction;
  GoldenTensor tensor;
};

struct Golden {
  std::string module, model;
  int64_t in_chans, num_classes;
  std::optional<std::string> global_pool;
  std::optional<std::array<int64_t, 2>> img_size;             // of the model
  std::optional<std::array<int64_t, 2>> checkpoint_img_size;  // of the checkpoint, unless the variant's own
  DType dtype;                                                // of the checkpoint
  double gain;
  Shape input;
  std::string digest;      // of the checkpoint's names and shapes
  uint64_t element_count;  // of the checkpoint
  GoldenTensor logits;
  std::optional<GoldenTensor> features;  // none where timm's are several tensors
  std::vector<GoldenLevel> levels;
};

// Parts of the files.
Shape read_shape(const rapidjson::Value& json);
GoldenTensor read_tensor(const rapidjson::Value& json);

// All of them, in the order of the files' names.
std::vector<Golden> read_goldens();

// "resnet34, 25 channels, float16 (2×3×96×96)": tells a golden from the others.
std::string title(const Golden& golden);

// The tensors of the three-channel checkpoint that the golden was made from, as our model of that name has them.
std::vector<TensorInfo> checkpoint_tensors(const Golden& golden);
// Of names and shapes in order, as make_goldens.py computes it.
std::string digest(const std::vector<TensorInfo>& tensors);

// The largest difference between a tensor and timm's, relative to the largest magnitude in timm's; infinite where the
// shapes differ or an element is not a number.
double difference(const FloatTensor& tensor, const GoldenTensor& golden);

}  // namespace wimm::parity
