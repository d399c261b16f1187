// Every failure of wimm is one exception type with a stable code.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wimm {

// The codes of the public contract. `code_name` gives the string that JavaScript sees.
enum class ErrorCode : uint8_t {
  // Names and options
  unknown_model,
  no_pretrained,
  invalid_argument,
  // Files
  format_unknown,
  format_truncated,
  format_corrupt,
  format_unsupported,
  pickle_forbidden,
  limit_exceeded,
  integrity,
  state_dict_mismatch,
  weights_nonfinite,
  // Input
  input_shape,
  input_dtype,
  image_decode,
  image_unsupported,
  // Runtime
  out_of_memory,
  disposed,
  runtime_crashed,
};

// "ERR_UNKNOWN_MODEL" and so on.
std::string_view code_name(ErrorCode code);

// A failure: what happened, what was got and wanted, and what to do.
// Text that came from a file must pass through `quote` before it enters a message.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  // The tensor that the failure is about, by its name in the file or the model.
  Error&& in_tensor(std::string_view name) &&;
  // The byte offset in the file at which the failure was seen.
  Error&& at_offset(uint64_t offset) &&;

  ErrorCode code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::optional<std::string>& tensor() const { return tensor_; }
  const std::optional<uint64_t>& offset() const { return offset_; }

  // For state_dict_mismatch: the full lists of names (mismatched ones with both shapes).
  std::vector<std::string> missing, unexpected, mismatched;

 private:
  ErrorCode code_;
  std::string message_;
  std::optional<std::string> tensor_;
  std::optional<uint64_t> offset_;
};

// A name from a file as it may stand in a message: in double quotes, control characters and invalid UTF-8 escaped
// as \xNN, cut at 200 characters with an ellipsis.
std::string quote(std::string_view text);

}  // namespace wimm
