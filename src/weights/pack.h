// Writing and reading wimm packs; schema/pack.fbs has their layout.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wimm/weights.h"

namespace wimm {

// How a tensor is stored: as it is, or a float32 tensor as int8 with a scale for each index of the first dimension.
enum class Encoding : uint8_t { plain, int8_rows };

class Pack final : public StateDict {
 public:
  // Errors: format_truncated, format_corrupt, format_unsupported, limit_exceeded.
  Pack(std::shared_ptr<const ByteSource> source, const ReadLimits& limits);

  std::string_view format() const override { return "wimm"; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  // Errors: integrity where the checksum does not match.
  Tensor read(size_t index) const override;
  uint64_t end(size_t index) const override { return places_[index].offset + places_[index].length; }

  // timm's arch.tag, and its pretrained_cfg as JSON.
  const std::string& model() const { return model_; }
  const std::string& cfg() const { return cfg_; }
  uint32_t version() const { return version_; }

 private:
  struct Place {
    uint64_t offset, length;  // in the file
    uint32_t crc32;
    Encoding encoding;
  };

  std::shared_ptr<const ByteSource> source_;
  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;
  std::string model_, cfg_;
  uint32_t version_ = 0;
};

// What goes into a pack. `read` gives the data of tensors[index]; it is called twice for each, so that one tensor at a
// time is in memory.
struct PackContents {
  std::string model, cfg;
  std::vector<TensorInfo> tensors;
  std::function<Tensor(size_t index)> read;
  std::vector<Encoding> encodings{};  // of each; none: all plain
};

// Writes a pack in order, front to back.
void write_pack(const PackContents& contents, const std::function<void(std::span<const std::byte>)>& write);

}  // namespace wimm
