// Errors: their codes' names, and names from files made safe to print.
#include "wimm/error.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace wimm;

TEST_CASE("a code has the name that JavaScript sees") {
  CHECK(code_name(ErrorCode::unknown_model) == "ERR_UNKNOWN_MODEL");
  CHECK(code_name(ErrorCode::pickle_forbidden) == "ERR_PICKLE_FORBIDDEN");
  CHECK(code_name(ErrorCode::state_dict_mismatch) == "ERR_STATE_DICT_MISMATCH");
  CHECK(code_name(ErrorCode::image_unsupported) == "ERR_IMAGE_UNSUPPORTED");
  CHECK(code_name(ErrorCode::runtime_crashed) == "ERR_RUNTIME_CRASHED");
}

TEST_CASE("an error carries its tensor and offset") {
  const Error error = Error(ErrorCode::format_corrupt, "Broken").in_tensor("conv1.weight").at_offset(1ull << 40);
  CHECK(error.code() == ErrorCode::format_corrupt);
  CHECK(std::string(error.what()) == "Broken");
  CHECK(error.tensor() == "conv1.weight");
  CHECK(error.offset() == 1ull << 40);
}

TEST_CASE("quote keeps printable text") {
  CHECK(quote("layer1.0.conv1.weight") == "\"layer1.0.conv1.weight\"");
  CHECK(quote("") == "\"\"");
  CHECK(quote("größe 重み 🐈") == "\"größe 重み 🐈\"");
}

TEST_CASE("quote escapes control characters") {
  CHECK(quote(std::string_view("a\0b\n\x1b[31m\x7f", 10)) == R"("a\x00b\x0a\x1b[31m\x7f")");
  CHECK(quote("\xc2\x85") == R"("\xc2\x85")");
}

TEST_CASE("quote escapes what is not UTF-8") {
  CHECK(quote("\xff") == R"("\xff")");
  CHECK(quote("\xc0\xaf") == R"("\xc0\xaf")");                  // overlong
  CHECK(quote("\xe0\x80\x80") == R"("\xe0\x80\x80")");          // overlong
  CHECK(quote("\xed\xa0\x80") == R"("\xed\xa0\x80")");          // surrogate
  CHECK(quote("\xf4\x90\x80\x80") == R"("\xf4\x90\x80\x80")");  // beyond U+10FFFF
  CHECK(quote("ok\xe2\x82") == R"("ok\xe2\x82")");              // cut short
}

TEST_CASE("quote cuts at 200 characters, not bytes") {
  CHECK(quote(std::string(200, 'x')) == '"' + std::string(200, 'x') + '"');
  CHECK(quote(std::string(201, 'x')) == '"' + std::string(200, 'x') + "…\"");
  std::string umlauts;
  for (int i = 0; i < 200; i++) umlauts += "ü";
  CHECK(quote(umlauts + "ü") == '"' + umlauts + "…\"");
}
