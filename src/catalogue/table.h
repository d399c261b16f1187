// The catalogue's table, decoded. scripts/export_catalogue.py says how it is laid out.
#pragma once

#include <rapidjson/document.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wimm/catalogue.h"

namespace wimm {

extern const std::string_view catalogue_json, modules_json, left_out_json;

// An architecture of timm with its cfgs by tag, the default tag first ("" where it has none).
class Architecture {
 public:
  Architecture(std::string_view name, std::string_view module, const rapidjson::Value& base,
               const rapidjson::Value& cfgs);

  std::string_view name() const { return name_; }
  std::string_view module() const { return module_; }
  const std::vector<std::string_view>& tags() const { return tags_; }
  // `arch.tag`
  std::string name_of(std::string_view tag) const;
  bool has_weights(std::string_view tag) const;
  PretrainedCfg cfg(std::string_view tag) const;

 private:
  // The value of `key`, or null.
  const rapidjson::Value* field(std::string_view tag, std::string_view key) const;
  // Where the hub has the weights, or "".
  std::string hub_id(std::string_view tag) const;
  std::string json(std::string_view tag) const;

  std::string_view name_, module_;
  const rapidjson::Value& base_;
  const rapidjson::Value& cfgs_;
  std::vector<std::string_view> tags_;
};

struct Listed {
  std::string name;
  std::string_view module;
  bool pretrained;
};

struct Catalogue {
  std::map<std::string_view, Architecture> architectures;    // timm's
  std::map<std::string_view, Architecture> retired;          // those of older releases that timm has dropped
  std::map<std::string_view, std::string_view> deprecated;   // older names, and the `arch` or `arch.tag` they map to
  std::map<std::string_view, std::vector<Listed>> releases;  // what older releases listed
  std::set<std::string_view> implemented;                    // the modules whose architectures can be created
  std::set<std::string_view> left_out;                       // but not these, most of them the largest

  bool creates(const Architecture& architecture) const {
    return implemented.contains(architecture.module()) && !left_out.contains(architecture.name());
  }
};

const Catalogue& catalogue();

}  // namespace wimm
