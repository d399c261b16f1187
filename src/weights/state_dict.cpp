// Telling the formats apart by content, and the rules that they share: limits and the prefixes of wrappers.
#include <algorithm>

#include "weights/bytes.h"
#include "weights/formats.h"
#include "weights/pack.h"
#include "wimm/error.h"

namespace wimm {

namespace {

constexpr size_t kHeadBytes = 512;

struct OtherFormat {
  size_t offset;
  std::string_view magic;
  ErrorCode code;
  std::string_view message;
};

// Files that people take for weights.
constexpr OtherFormat kOtherFormats[] = {
    {0, "version https://git-lfs", ErrorCode::format_unknown,
     "the file is a Git LFS pointer, not the weights; fetch the file itself (git lfs pull)"},
    {0, "\x1f\x8b", ErrorCode::format_unknown, "the file is gzip data; decompress it first"},
    {0, "\x93NUMPY", ErrorCode::format_unsupported, "the file is a NumPy array (.npy), not a checkpoint"},
    {0, "\x89HDF", ErrorCode::format_unsupported, "the file is an HDF5 file, not a checkpoint that wimm reads"},
    {257, "ustar", ErrorCode::format_unsupported,
     "the file is a tar archive, as PyTorch 0.1 wrote them; load it with a newer PyTorch and save it again"},
};

bool has_at(std::string_view head, size_t offset, std::string_view magic) {
  return head.size() >= offset && head.substr(offset).starts_with(magic);
}

void refuse_other_formats(std::string_view head) {
  for (const OtherFormat& other : kOtherFormats) {
    if (has_at(head, other.offset, other.magic)) throw Error(other.code, std::string(other.message));
  }
  const size_t start = std::min(head.find_first_not_of(" \t\r\n"), head.size());
  const std::string_view text = head.substr(start);
  if (text.starts_with('<')) {
    throw Error(ErrorCode::format_unknown, "the file looks like HTML, not weights; is the address right?");
  }
  if (text.starts_with('{')) {
    throw Error(ErrorCode::format_unsupported,
                "the file is JSON, perhaps the index of a sharded checkpoint; give the file of weights itself");
  }
}

bool is_safetensors(std::string_view head) { return has_at(head, 8, "{"); }

// PROTO and its argument; a header length of safetensors has a zero behind these two bytes.
bool is_pickle(std::string_view head) { return head[0] == '\x80' && head[1] >= 1 && head[1] <= 9 && head[2] != 0; }

// Of a format whose files have nothing but their top.
std::unique_ptr<StateDict> without_wrappers(std::unique_ptr<StateDict> state_dict,
                                            const std::optional<std::string>& key) {
  if (!key || key->empty()) return state_dict;
  throw Error(ErrorCode::state_dict_mismatch, "the file, of the format " + std::string(state_dict->format()) +
                                                  ", holds its tensors at its top and nothing under the key " +
                                                  quote(*key) + "; load it without a key");
}

// No '{' where it should be, but a header length before it: damaged safetensors.
bool resembles_safetensors(std::string_view head) { return head.substr(4, 4) == std::string_view("\0\0\0\0", 4); }

}  // namespace

void StateDict::read_into(size_t index, std::span<std::byte> out) const {
  std::ranges::copy(read(index).data, out.begin());
}

uint64_t StateDict::end(size_t /*index*/) const { return whole_file; }

std::optional<size_t> StateDict::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors(), name, &TensorInfo::name);
  if (found == tensors().end()) return std::nullopt;
  return static_cast<size_t>(found - tensors().begin());
}

std::unique_ptr<StateDict> load_state_dict(std::shared_ptr<const ByteSource> source, const ReadLimits& limits,
                                           const std::optional<std::string>& key) {
  std::string head(static_cast<size_t>(std::min<uint64_t>(kHeadBytes, source->size())), '\0');
  source->read(0, std::as_writable_bytes(std::span(head)));
  if (head.size() < 8) {
    throw Error(ErrorCode::format_truncated, "the file has only " + std::to_string(head.size()) + " bytes");
  }
  if (head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06")) return open_pytorch_zip(source, limits, key);
  if (has_at(head, 8, "WIMM")) return without_wrappers(std::make_unique<Pack>(source, limits), key);
  if (is_safetensors(head)) return without_wrappers(open_safetensors(source, limits), key);
  if (is_pickle(head)) return open_pytorch_legacy(source, limits, key);
  refuse_other_formats(head);
  if (resembles_safetensors(head)) return without_wrappers(open_safetensors(source, limits), key);
  throw Error(ErrorCode::format_unknown, "the file is neither safetensors, nor a PyTorch checkpoint, nor a wimm pack");
}

uint64_t checked_byte_count(DType dtype, const Shape& shape, const ReadLimits& limits) {
  if (shape.size() > limits.rank) {
    throw Error(ErrorCode::limit_exceeded, "a tensor has " + std::to_string(shape.size()) +
                                               " dimensions, the limit is " + std::to_string(limits.rank));
  }
  uint64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0) throw Error(ErrorCode::format_corrupt, "a tensor has the negative dimension " + std::to_string(dim));
    count = checked_multiply(count, static_cast<uint64_t>(dim));
  }
  return checked_multiply(count, size_of(dtype));
}

Tensor allocate(const TensorInfo& info) {
  const uint64_t bytes = checked_multiply(static_cast<uint64_t>(element_count(info.shape)), size_of(info.dtype));
  return {info.dtype, info.shape, std::vector<std::byte>(checked_size(bytes))};
}

void check_limits(const std::vector<TensorInfo>& tensors, const ReadLimits& limits) {
  if (tensors.size() > limits.tensors) {
    throw Error(ErrorCode::limit_exceeded, "the checkpoint has " + std::to_string(tensors.size()) +
                                               " tensors, the limit is " + std::to_string(limits.tensors));
  }
  uint64_t total = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name.size() > limits.tensor_name_bytes) {
      throw Error(ErrorCode::limit_exceeded, "a tensor's name has " + std::to_string(tensor.name.size()) +
                                                 " bytes, the limit is " + std::to_string(limits.tensor_name_bytes))
          .in_tensor(tensor.name);
    }
    total = checked_add(total, checked_byte_count(tensor.dtype, tensor.shape, limits));
  }
  if (total > limits.total_bytes) {
    throw Error(ErrorCode::limit_exceeded, "the tensors take " + std::to_string(total) + " bytes, the limit is " +
                                               std::to_string(limits.total_bytes));
  }
}

void strip_wrapper_prefixes(std::vector<TensorInfo>& tensors) {
  // torch.compile and DataParallel wrap each other in either order.
  for (const std::string_view prefix : {"_orig_mod.", "module.", "_orig_mod.", "model."}) {
    const bool shared = std::ranges::all_of(tensors, [&](const TensorInfo& tensor) {
      return tensor.name.size() > prefix.size() && tensor.name.starts_with(prefix);
    });
    if (!shared) continue;
    for (TensorInfo& tensor : tensors) tensor.name.erase(0, prefix.size());
  }
}

}  // namespace wimm
