// What the two formats of torch.save share: a state dict in a pickle, its tensors strided views of storages.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/pickle.h"
#include "wimm/weights.h"

namespace wimm {

class PytorchStateDict final : public StateDict {
 public:
  // Reads out.size() bytes of a storage of the pickle from byte `offset`.
  using StorageReader = std::function<void(size_t storage, uint64_t offset, std::span<std::byte> out)>;

  // Finds the state dict in the pickled object: the value of `key`, or in timm's order that of `state_dict_ema`,
  // `model_ema`, `state_dict` or `model`, where it is a dictionary, else the object itself. Values that are no tensors
  // are left out. Errors: state_dict_mismatch where there are no tensors; format_corrupt, limit_exceeded.
  PytorchStateDict(std::string_view format, const pickle::Object& object, StorageReader read_storage,
                   const ReadLimits& limits, const std::optional<std::string>& key);

  std::string_view format() const override { return format_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Tensor read(size_t index) const override;
  void read_into(size_t index, std::span<std::byte> out) const override;

 private:
  std::string_view format_;
  StorageReader read_storage_;
  std::vector<TensorInfo> tensors_;
  std::vector<pickle::TensorView> views_;
};

// Bytes of a storage.
uint64_t byte_count(const pickle::Storage& storage);

}  // namespace wimm
