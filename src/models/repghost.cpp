// RepGhostNet (timm/models/repghost.py). Paper: arXiv 2211.06088.
#include <string_view>
#include <vector>

#include "models/ghostnet.h"
#include "models/variants.h"

namespace wimm {
namespace {

constexpr ghost::BlockArgs blocks[] = {
    {3, 8, 16, 0, 1, true},        {3, 24, 24, 0, 2, true},       {3, 36, 24, 0, 1, true},
    {5, 36, 40, 0.25, 2, true},    {5, 60, 40, 0.25, 1, true},    {3, 120, 80, 0, 2, true},
    {3, 100, 80, 0, 1, false},     {3, 120, 80, 0, 1, false},     {3, 120, 80, 0, 1, false},
    {3, 240, 112, 0.25, 1, false}, {3, 336, 112, 0.25, 1, true},  {5, 336, 160, 0.25, 2, true},
    {5, 480, 160, 0, 1, false},    {5, 480, 160, 0.25, 1, false}, {5, 480, 160, 0, 1, false},
    {5, 480, 160, 0.25, 1, true},
};

struct Variant {
  std::string_view name;
  double width;
};

constexpr Variant variants[] = {
    {"repghostnet_050", 0.5},  {"repghostnet_058", 0.58}, {"repghostnet_080", 0.8}, {"repghostnet_100", 1},
    {"repghostnet_111", 1.11}, {"repghostnet_130", 1.3},  {"repghostnet_150", 1.5}, {"repghostnet_200", 2},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return ghost::build({ghost::Kind::rep, find(variants, name).width, blocks, 2}, options);
}

}  // namespace

extern constinit const Family repghost_family{"repghost", names_of(variants), build_variant};

}  // namespace wimm
