// Decodes the catalogue's table, at its first use.
#include "catalogue/table.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace wimm {
namespace {

using rapidjson::Value;

std::string_view view(const Value& text) { return {text.GetString(), text.GetStringLength()}; }

rapidjson::Document parse(std::string_view text) {
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  return document;
}

const Value* find(const Value& object, std::string_view key) {
  const auto member = object.FindMember(Value(rapidjson::StringRef(key.data(), key.size())));
  return member == object.MemberEnd() ? nullptr : &member->value;
}

// One string, an array of them, or null.
std::vector<std::string> strings(const Value* value) {
  std::vector<std::string> out;
  if (!value) return out;
  if (value->IsString()) return {std::string(view(*value))};
  for (const Value& entry : value->GetArray()) out.emplace_back(view(entry));
  return out;
}

std::string string_or_empty(const Value* value) { return value ? std::string(view(*value)) : std::string(); }

std::vector<double> numbers(const Value& array) {
  std::vector<double> out;
  for (const Value& entry : array.GetArray()) out.push_back(entry.GetDouble());
  return out;
}

std::map<std::string_view, Architecture> decode_architectures(const Value& modules) {
  std::map<std::string_view, Architecture> out;
  for (const auto& [module, table] : modules.GetObject()) {
    for (const auto& [name, cfgs] : table["architectures"].GetObject()) {
      out.try_emplace(view(name), view(name), view(module), table["cfg"], cfgs);
    }
  }
  return out;
}

std::vector<Listed> decode_release(const Value& modules) {
  std::vector<Listed> out;
  for (const auto& [module, names] : modules.GetObject()) {
    for (const Value& name : names["pretrained"].GetArray())
      out.push_back({std::string(view(name)), view(module), true});
    for (const Value& name : names["untrained"].GetArray())
      out.push_back({std::string(view(name)), view(module), false});
  }
  return out;
}

Catalogue decode(const Value& table, const Value& implemented, const Value& left_out) {
  Catalogue out;
  out.architectures = decode_architectures(table["modules"]);
  out.retired = decode_architectures(table["retired"]);
  for (const auto& [name, replacement] : table["deprecated"].GetObject())
    out.deprecated[view(name)] = view(replacement);
  for (const auto& [release, modules] : table["releases"].GetObject()) {
    out.releases[view(release)] = decode_release(modules);
  }
  for (const Value& module : implemented.GetArray()) out.implemented.insert(view(module));
  for (const Value& name : left_out.GetArray()) out.left_out.insert(view(name));
  return out;
}

}  // namespace

Architecture::Architecture(std::string_view name, std::string_view module, const Value& base, const Value& cfgs)
    : name_(name), module_(module), base_(base), cfgs_(cfgs) {
  for (const auto& [tag, cfg] : cfgs.GetObject()) tags_.push_back(view(tag));
}

std::string Architecture::name_of(std::string_view tag) const {
  return tag.empty() ? std::string(name_) : std::string(name_).append(".").append(tag);
}

const Value* Architecture::field(std::string_view tag, std::string_view key) const {
  const Value* value = find(*find(cfgs_, tag), key);
  if (!value) value = find(base_, key);
  return value && !value->IsNull() ? value : nullptr;
}

bool Architecture::has_weights(std::string_view tag) const {
  return !string_or_empty(field(tag, "url")).empty() || !string_or_empty(field(tag, "hfHubId")).empty();
}

PretrainedCfg Architecture::cfg(std::string_view tag) const {
  PretrainedCfg cfg;
  cfg.architecture = name_;
  cfg.tag = tag;
  cfg.module = module_;
  cfg.url = string_or_empty(field(tag, "url"));
  cfg.hf_hub_id = hub_id(tag);
  cfg.num_classes = field(tag, "numClasses")->GetInt64();
  if (const Value* offset = field(tag, "labelOffset")) cfg.label_offset = offset->GetInt64();
  const Value& size = *field(tag, "inputSize");
  cfg.input_size = {size[0].GetInt64(), size[1].GetInt64(), size[2].GetInt64()};
  cfg.fixed_input_size = field(tag, "fixedInputSize")->GetBool();
  cfg.crop_pct = field(tag, "cropPct")->GetDouble();
  cfg.crop_mode = view(*field(tag, "cropMode"));
  cfg.interpolation = view(*field(tag, "interpolation"));
  cfg.mean = numbers(*field(tag, "mean"));
  cfg.std = numbers(*field(tag, "std"));
  cfg.first_conv = strings(field(tag, "firstConv"));
  cfg.classifier = strings(field(tag, "classifier"));
  cfg.license = string_or_empty(field(tag, "license"));
  cfg.json = json(tag);
  return cfg;
}

std::string Architecture::hub_id(std::string_view tag) const {
  const std::string id = string_or_empty(field(tag, "hfHubId"));
  return id == "timm/" ? id + name_of(tag) : id;
}

std::string Architecture::json(std::string_view tag) const {
  rapidjson::Document out(rapidjson::kObjectType);
  auto& allocator = out.GetAllocator();
  const auto set = [&](std::string_view key, Value value) {
    out.AddMember(Value(rapidjson::StringRef(key.data(), key.size())), value, allocator);
  };
  const auto text = [&](std::string_view value) { return Value(value.data(), value.size(), allocator); };
  set("architecture", text(name_));
  if (!tag.empty()) set("tag", text(tag));
  if (field(tag, "hfHubId")) set("hfHubId", text(hub_id(tag)));
  // Keys that timm keeps where they are null.
  for (const std::string_view key : {"poolSize", "firstConv", "classifier"}) {
    if (!field(tag, key)) set(key, Value());
  }
  for (const Value* fields : {find(cfgs_, tag), &base_}) {
    for (const auto& [name, unused] : fields->GetObject()) {
      const Value* value = field(tag, view(name));
      if (value && !find(out, view(name))) set(view(name), Value(*value, allocator));
    }
  }

  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  out.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

const Catalogue& catalogue() {
  static const rapidjson::Document table = parse(catalogue_json), implemented = parse(modules_json),
                                   left_out = parse(left_out_json);
  static const Catalogue decoded = decode(table, implemented, left_out);
  return decoded;
}

}  // namespace wimm
