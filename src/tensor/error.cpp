// Error codes as JavaScript sees them, and names from files made safe for messages.
#include "wimm/error.h"

#include <array>
#include <utility>

namespace wimm {
namespace {

constexpr std::array<std::string_view, 19> code_names{
    "ERR_UNKNOWN_MODEL",    "ERR_NO_PRETRAINED",  "ERR_INVALID_ARGUMENT",    "ERR_FORMAT_UNKNOWN",
    "ERR_FORMAT_TRUNCATED", "ERR_FORMAT_CORRUPT", "ERR_FORMAT_UNSUPPORTED",  "ERR_PICKLE_FORBIDDEN",
    "ERR_LIMIT_EXCEEDED",   "ERR_INTEGRITY",      "ERR_STATE_DICT_MISMATCH", "ERR_WEIGHTS_NONFINITE",
    "ERR_INPUT_SHAPE",      "ERR_INPUT_DTYPE",    "ERR_IMAGE_DECODE",        "ERR_IMAGE_UNSUPPORTED",
    "ERR_OUT_OF_MEMORY",    "ERR_DISPOSED",       "ERR_RUNTIME_CRASHED",
};
static_assert(code_names.size() == static_cast<size_t>(ErrorCode::runtime_crashed) + 1);

constexpr size_t quoted_characters = 200;

// The length of the well-formed UTF-8 sequence that `text` starts with, or 0.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xed && byte(1) > 0x9f;
  const bool beyond_unicode = lead == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || beyond_unicode ? 0 : length;
}

bool is_control(std::string_view character) {
  const auto lead = static_cast<uint8_t>(character[0]);
  const bool c1 = lead == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
  return lead < 0x20 || lead == 0x7f || c1;
}

void append_escaped(std::string& out, char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto value = static_cast<uint8_t>(byte);
  out += "\\x";
  out += digits[value >> 4];
  out += digits[value & 15];
}

}  // namespace

std::string_view code_name(ErrorCode code) { return code_names[static_cast<size_t>(code)]; }

Error&& Error::in_tensor(std::string_view name) && {
  if (!name.empty()) tensor_ = name;
  return std::move(*this);
}

Error&& Error::at_offset(uint64_t offset) && {
  offset_ = offset;
  return std::move(*this);
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (size_t count = 0; !text.empty(); count++) {
    if (count == quoted_characters) {
      out += "…";
      break;
    }
    const size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    if (length == 0 || is_control(character)) {
      for (const char byte : character) append_escaped(out, byte);
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out + '"';
}

}  // namespace wimm
