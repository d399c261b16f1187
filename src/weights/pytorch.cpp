// From the object of a torch.save file to named tensors, and from strided views to contiguous data.
#include "weights/pytorch.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_set>

#include "weights/bytes.h"
#include "weights/formats.h"
#include "wimm/error.h"

namespace wimm {

namespace {

constexpr std::string_view kWrappers[] = {"state_dict_ema", "model_ema", "state_dict", "model"};

bool has_tensors(const pickle::Object& object, const pickle::Dict& dict) {
  return std::ranges::any_of(dict.items, [&](const auto& item) { return object.get<pickle::TensorRef>(item.second); });
}

// The keys of `top` under which there are tensors, for a message.
std::string keys_of_tensors(const pickle::Object& object, const pickle::Dict& top) {
  constexpr size_t kKeysInMessage = 5;
  std::string keys;
  size_t count = 0;
  std::unordered_set<pickle::Ref> seen;  // one dictionary may be the value of a million keys
  for (const auto& [key, value] : top.items) {
    const auto* name = object.get<std::string>(key);
    const auto* inner = object.get<pickle::Dict>(value);
    if (name == nullptr || inner == nullptr || !seen.insert(value).second || !has_tensors(object, *inner)) continue;
    if (++count <= kKeysInMessage) keys += (keys.empty() ? "" : ", ") + quote(*name);
  }
  return count > kKeysInMessage ? keys + ", …" : keys;
}

Error no_tensors(const pickle::Object& object, const pickle::Dict& top, const std::optional<std::string>& key) {
  std::string message = "the checkpoint holds no tensors ";
  message += !key           ? "at its top nor under state_dict or model"
             : key->empty() ? "at its top"
                            : "under the key " + quote(*key);
  const std::string keys = keys_of_tensors(object, top);
  if (!keys.empty()) message += "; those that it has are under " + keys + ", one of which may be given as key";
  if (key && !key->empty() && has_tensors(object, top)) message += "; it has some at its top, whose key is \"\"";
  return Error(ErrorCode::state_dict_mismatch, message);
}

// The dictionaries whose items make up the state dict.
std::vector<const pickle::Dict*> find_state_dict(const pickle::Object& object, const std::optional<std::string>& key) {
  const auto* top = object.get<pickle::Dict>(object.root);
  if (top == nullptr) {
    throw Error(ErrorCode::state_dict_mismatch,
                "the checkpoint holds something other than a dictionary of tensors; save the model's state_dict()");
  }
  const auto inside = [&](const pickle::Dict* dict, std::string_view name) {
    const std::optional<pickle::Ref> value = dict ? object.find(*dict, name) : std::nullopt;
    return value ? object.get<pickle::Dict>(*value) : nullptr;
  };
  const auto under = [&](std::string_view name) { return inside(top, name); };
  if (!key) {  // SEER's
    const pickle::Dict* model = inside(inside(under("classy_state_dict"), "base_model"), "model");
    const pickle::Dict *trunk = inside(model, "trunk"), *heads = inside(model, "heads");
    if (trunk && heads) return {trunk, heads};
  }
  const pickle::Dict* found = key && !key->empty() ? under(*key) : nullptr;
  for (const std::string_view wrapper : kWrappers) {
    if (!key && found == nullptr) found = under(wrapper);
  }
  if (found == nullptr && !key && !has_tensors(object, *top)) found = under("encoder");  // I-JEPA's
  if (found == nullptr && (!key || key->empty())) found = top;
  if (found == nullptr || !has_tensors(object, *found)) throw no_tensors(object, *top, key);
  return {found};
}

// Elements from the first of the view to the last, in the storage. The view is not empty and inside its storage.
uint64_t extent(const pickle::TensorView& view) {
  uint64_t last = 0;
  for (size_t i = 0; i < view.shape.size(); ++i) last += view.strides[i] * static_cast<uint64_t>(view.shape[i] - 1);
  return last + 1;
}

bool is_contiguous(const pickle::TensorView& view) {
  uint64_t expected = 1;
  for (size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] != 1 && view.strides[i] != expected) return false;
    expected *= static_cast<uint64_t>(view.shape[i]);
  }
  return true;
}

// Copies the elements of a strided view of `from` to `to`, row-major.
void gather(const pickle::TensorView& view, size_t item_bytes, std::span<const std::byte> from,
            std::span<std::byte> to) {
  std::vector<int64_t> index(view.shape.size(), 0);
  size_t position = 0;  // of the element in `from`
  for (size_t done = 0; done < to.size(); done += item_bytes) {
    std::memcpy(&to[done], &from[position * item_bytes], item_bytes);
    for (size_t axis = view.shape.size(); axis-- > 0;) {
      const auto stride = static_cast<size_t>(view.strides[axis]);
      position += stride;
      if (++index[axis] < view.shape[axis]) break;
      position -= stride * static_cast<size_t>(view.shape[axis]);
      index[axis] = 0;
    }
  }
}

}  // namespace

uint64_t byte_count(const pickle::Storage& storage) { return checked_multiply(storage.size, size_of(storage.dtype)); }

PytorchStateDict::PytorchStateDict(std::string_view format, const pickle::Object& object, StorageReader read_storage,
                                   const ReadLimits& limits, const std::optional<std::string>& key)
    : format_(format), read_storage_(std::move(read_storage)) {
  std::unordered_set<std::string_view> names;
  const auto add = [&](pickle::Ref key, pickle::Ref value) {
    const auto* tensor = object.get<pickle::TensorRef>(value);
    if (tensor == nullptr) return;
    const auto* name = object.get<std::string>(key);
    if (name == nullptr) throw Error(ErrorCode::format_corrupt, "a key of the state dict is not a string");
    if (!names.insert(*name).second) {
      throw Error(ErrorCode::format_corrupt, "the state dict has two tensors named " + quote(*name)).in_tensor(*name);
    }
    const pickle::TensorView& view = object.tensors[tensor->index];
    tensors_.push_back({*name, object.storages[view.storage].dtype, view.shape});
    views_.push_back(view);
  };
  for (const pickle::Dict* dict : find_state_dict(object, key))
    for (const auto& [key, value] : dict->items) add(key, value);
  check_limits(tensors_, limits);
  strip_wrapper_prefixes(tensors_);
}

Tensor PytorchStateDict::read(size_t index) const {
  Tensor tensor = allocate(tensors_.at(index));
  read_into(index, tensor.data);
  return tensor;
}

void PytorchStateDict::read_into(size_t index, std::span<std::byte> out) const {
  if (out.empty()) return;
  const pickle::TensorView& view = views_[index];
  const size_t item_bytes = size_of(tensors_[index].dtype);
  const uint64_t begin = checked_multiply(view.offset, item_bytes);
  if (is_contiguous(view)) {
    read_storage_(view.storage, begin, out);
  } else {
    std::vector<std::byte> strided(checked_size(checked_multiply(extent(view), item_bytes)));
    read_storage_(view.storage, begin, strided);
    gather(view, item_bytes, strided, out);
  }
}

}  // namespace wimm
