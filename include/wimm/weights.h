// Reading weight files: safetensors, PyTorch checkpoints (zip and legacy) and wimm packs, told apart by content.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wimm/tensor.h"

namespace wimm {

// Random access to a file's bytes. Readers ask for what they need, so a file is never copied whole.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Fills `out` from `offset`; throws format_truncated where the range is not inside the file.
  virtual void read(uint64_t offset, std::span<std::byte> out) const = 0;
};

// A source over memory that the caller keeps alive.
std::shared_ptr<const ByteSource> memory_source(std::span<const std::byte> bytes);
// A source over a file on disk; throws invalid_argument where it cannot be opened.
std::shared_ptr<const ByteSource> file_source(const std::string& path);

// Bounds that no file may exceed; a file beyond one is refused with limit_exceeded before memory is taken.
struct ReadLimits {
  uint64_t header_bytes = 100'000'000;  // safetensors header, pickle, or zip directory
  uint64_t tensors = 65'536;
  uint64_t tensor_name_bytes = 4'096;
  uint64_t rank = 64;
  uint64_t total_bytes = uint64_t{16} << 30;  // of all tensors, once materialised
};

// More bytes than any file has.
constexpr uint64_t whole_file = std::numeric_limits<uint64_t>::max();

// What is known of a tensor before its data is read.
struct TensorInfo {
  std::string name;
  DType dtype;
  Shape shape;
};

// The tensors of a checkpoint by name. The file's structure has been checked; data is read one tensor at a time.
class StateDict {
 public:
  virtual ~StateDict() = default;
  // "safetensors", "pytorch", "pytorch-legacy" or "wimm".
  virtual std::string_view format() const = 0;
  // In the file's order. Names are the checkpoint's own, wrappers and prefixes already removed.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Reads tensor `index` of `tensors()`, row-major whatever its strides in the file.
  virtual Tensor read(size_t index) const = 0;
  // The same into `out`, of the tensor's bytes, without a copy where the format allows it.
  virtual void read_into(size_t index, std::span<std::byte> out) const;
  // Where in the file the last byte lies that `read(index)` needs, and one more; `whole_file` where that is not known.
  virtual uint64_t end(size_t index) const;

  // The index of the tensor with this name.
  std::optional<size_t> find(std::string_view name) const;
};

// Opens a checkpoint. Wrappers are opened as timm does: the value of `state_dict_ema`, `model_ema`, `state_dict` or
// `model`, the first that is there, else the top, or the value of `encoder` where the top has no tensors (I-JEPA), or
// what SEER's have within `classy_state_dict`; or the value of `key`, where it is given, which "" makes the top. A
// `module.`, `_orig_mod.` or `model.` prefix is stripped where every name has it. Not for several threads at once.
// Errors: format_*, pickle_forbidden, limit_exceeded, integrity; state_dict_mismatch where there are no tensors, or
// none under `key`.
std::unique_ptr<StateDict> load_state_dict(std::shared_ptr<const ByteSource> source, const ReadLimits& limits = {},
                                           const std::optional<std::string>& key = {});

// A checkpoint as timm's checkpoint_filter_fn gives it to a model.
struct FilteredCheckpoint {
  std::unique_ptr<StateDict> state_dict;  // of the names of timm; reads from the checkpoint, which outlives it
  // Its position embeddings are resampled to a square, which is cut to the model's grid (RADIO).
  bool cuts_positions;
};

// For a model with parameters of these names. Recognised by content: EfficientNet-PyTorch's checkpoints; torchvision's
// of DenseNet, RegNet and VGG; the authors' of TResNet; and for vision transformers those of CLIP, OpenCLIP, DINOv2,
// AIMv2, BEiT-3, RADIO, MobileCLIP and DeiT III; for convolutional networks those of the authors of ConvNeXt, MambaOut,
// FastViT, GhostNetV3 and CSPNeXt, of OpenCLIP, CLIP and MobileCLIP. Others keep their names. What is not of the model,
// such as a text encoder, is left out.
FilteredCheckpoint filter_checkpoint(const StateDict& state_dict, std::span<const std::string> parameters);

// timm's adapt_input_conv: the weight [O, 3·n, kH, kW] of a first convolution for another number of input channels.
// 1 channel: the sum over the input axis (over groups of three where there are more than 3, as space-to-depth stems
// have); otherwise the weight repeated ⌈in_chans/3⌉ times, cut to in_chans, scaled by 3/in_chans. Computed in float32
// and cast back to the weight's own type. Three channels: returned as it is. Errors: invalid_argument where in_chans <
// 1; state_dict_mismatch where the weight cannot be adapted; weights_nonfinite where a sum is beyond the weight's type.
Tensor adapt_input_conv(const Tensor& weight, int64_t in_chans);

}  // namespace wimm
