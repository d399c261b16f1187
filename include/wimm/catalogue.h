// The catalogue of timm's models: names, tags, and the cfgs of their pretrained weights. Not part of the WebAssembly
// module: there the JavaScript catalogue reads the same table.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wimm {

struct ListModelsOptions {
  std::vector<std::string> filter, exclude;  // wildcards as of Python's fnmatch: * ? [a-z] [!a-z]
  std::vector<std::string> modules;          // timm's modules, such as "resnet"; empty: all
  bool pretrained = false;                   // only models with weights
  bool tags = false;                         // `arch.tag` names
  std::string release;                       // "0.3.4", "1.0.31": all that this timm lists; "": what can be created
};

// What a set of weights was trained for: timm's pretrained_cfg.
struct PretrainedCfg {
  std::string architecture, tag, module;
  std::string url, hf_hub_id;  // empty where there is none
  int64_t num_classes = 1000;
  int64_t label_offset = 0;             // rows of the checkpoint's classifier before the first class
  std::array<int64_t, 3> input_size{};  // [C, H, W]
  bool fixed_input_size = false;
  double crop_pct = 0.875;
  std::string crop_mode, interpolation;
  std::vector<double> mean, std;
  std::vector<std::string> first_conv, classifier;  // module paths; empty where timm has none
  std::string license;
  std::string json;  // all of the cfg, as the JavaScript catalogue gives it
};

// Names in timm's natural order. Errors: invalid_argument for an unknown release.
std::vector<std::string> list_models(const ListModelsOptions& options = {});

// Whether the catalogue knows the architecture of `name`, an `arch`, `arch.tag` or older name.
bool is_model(std::string_view name);

// The cfg of `arch` (of its default tag), `arch.tag` or an older name. Errors: unknown_model, with the nearest names.
PretrainedCfg pretrained_cfg(std::string_view name);

}  // namespace wimm
