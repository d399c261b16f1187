// The C++ catalogue answers as timm does, from the goldens of the JavaScript one.
#include "wimm/catalogue.h"

#include <doctest/doctest.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "catalogue/match.h"
#include "models/families.h"
#include "wimm/error.h"
#include "wimm/model.h"

using namespace wimm;

namespace {

const rapidjson::Document& golden() {
  static const rapidjson::Document document = [] {
    std::ifstream file(WIMM_SOURCE_DIR "/tests/node/fixtures/catalogue-golden.json");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    rapidjson::Document parsed;
    parsed.Parse(text.data(), text.size());
    return parsed;
  }();
  REQUIRE(document.IsObject());
  return document;
}

rapidjson::Document parse(const std::string& text) {
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  return document;
}

std::vector<std::string> strings(const rapidjson::Value& value) {
  if (value.IsString())
    return value.GetStringLength() == 0 ? std::vector<std::string>{} : std::vector<std::string>{value.GetString()};
  std::vector<std::string> out;
  for (const auto& entry : value.GetArray()) out.emplace_back(entry.GetString());
  return out;
}

ListModelsOptions options_of(const rapidjson::Value& listing) {
  ListModelsOptions options;
  options.filter = strings(listing["filter"]);
  for (const auto& [key, value] : listing["options"].GetObject()) {
    const std::string name = key.GetString();
    if (name == "exclude") options.exclude = strings(value);
    if (name == "module") options.modules = strings(value);
    if (name == "pretrained") options.pretrained = value.GetBool();
    if (name == "tags") options.tags = value.GetBool();
    if (name == "release") options.release = value.GetString();
  }
  return options;
}

std::string failure(std::string_view name) {
  try {
    pretrained_cfg(name);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::unknown_model);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every listing is as long as timm's, and starts as it does") {
  for (const auto& listing : golden()["listings"].GetArray()) {
    const std::vector<std::string> names = list_models(options_of(listing));
    const auto& wanted = listing["names"];
    if (wanted.IsArray()) {
      CHECK(names == strings(wanted));
      continue;
    }
    REQUIRE(names.size() == wanted["count"].GetUint64());
    CHECK(std::vector(names.begin(), names.begin() + 5) == strings(wanted["first"]));
  }
}

TEST_CASE("wildcards match as Python's fnmatch does") {
  const std::vector<std::string> names = strings(golden()["wildcards"]["names"]);
  for (const auto& [key, wanted] : golden()["wildcards"]["matches"].GetObject()) {
    const std::string pattern = key.GetString();
    std::vector<std::string> matched;
    std::ranges::copy_if(names, std::back_inserter(matched),
                         [&](const std::string& name) { return matches_wildcard(name, pattern); });
    CAPTURE(pattern);
    CHECK(matched == strings(wanted));
  }
}

TEST_CASE("a cfg is timm's") {
  const PretrainedCfg cfg = pretrained_cfg("resnet34");
  CHECK(parse(cfg.json) == golden()["resnet34"]);
  CHECK(cfg.architecture == "resnet34");
  CHECK(cfg.tag == "a1_in1k");
  CHECK(cfg.module == "resnet");
  CHECK(cfg.hf_hub_id == "timm/resnet34.a1_in1k");
  CHECK(cfg.input_size == std::array<int64_t, 3>{3, 224, 224});
  CHECK(cfg.first_conv == std::vector<std::string>{"conv1"});
  CHECK(cfg.mean == std::vector<double>{0.485, 0.456, 0.406});
}

TEST_CASE("every tag of every model has a cfg") {
  ListModelsOptions options;
  options.release = "1.0.31";
  options.tags = true;
  for (const std::string& name : list_models(options)) {
    const PretrainedCfg cfg = pretrained_cfg(name);
    CHECK((cfg.tag.empty() ? cfg.architecture : cfg.architecture + "." + cfg.tag) == name);
  }
}

TEST_CASE("older names are models") {
  for (const auto& [name, replacement] : golden()["deprecated"].GetObject()) {
    CHECK(pretrained_cfg(name.GetString()).json == pretrained_cfg(replacement.GetString()).json);
  }
  for (const auto& [name, cfg] : golden()["retired"].GetObject()) {
    CHECK(pretrained_cfg(name.GetString()).url == cfg["url"].GetString());
  }
  ListModelsOptions options;
  options.release = "0.3.4";
  for (const std::string& name : list_models(options)) CHECK(is_model(name));
}

TEST_CASE("an unknown name is refused with the nearest ones") {
  CHECK(failure("resnet43").find("nearest names are resnet34") != std::string::npos);
  CHECK(failure("resnet34.a1_in1").find("nearest names are resnet34.a1_in1k") != std::string::npos);
  for (const std::string name : {"", ".", "resnet34.", "__proto__", "adv_inception_v3.x"}) CHECK(failure(name) != "");
  CHECK(failure(std::string(10'000'000, 'a')).size() < 300);
  ListModelsOptions options;
  options.release = "9";
  CHECK_THROWS_AS(list_models(options), Error);
}

TEST_CASE("what can be built is what is listed by default, and the older names of the same modules") {
  std::vector<std::string> names = list_models();
  std::set<std::string_view> modules;
  for (const Family* family : families()) modules.insert(family->module);
  for (const auto& [name, cfg] : golden()["retired"].GetObject()) {
    if (modules.contains(pretrained_cfg(name.GetString()).module)) names.emplace_back(name.GetString());
  }
  std::vector<std::string> buildable;
  for (const std::string_view name : list_buildable_models()) buildable.emplace_back(name);
  std::ranges::sort(names);
  std::ranges::sort(buildable);
  CHECK(names == buildable);
}
