// Networks of your own blocks (timm/models/byobnet.py): GENet (arXiv 2006.14090), RepVGG (2101.03697), MobileOne
// (2206.04040), CLIP's ResNets (2103.00020), and timm's own ResNets and RegNetZ.
#include "models/byob_builder.h"
#include "models/variants.h"

namespace wimm {
namespace {

using namespace byob;
using nn::Norm;

constexpr auto bottleneck = BlockType::bottleneck;

constexpr Spec gernet(const Stages& stages, int64_t stem_channels, int64_t num_features) {
  return {.stages = stages, .stem_channels = stem_channels, .num_features = num_features};
}

using Four = std::array<double, 4>;
using Depths = std::array<int64_t, 4>;

constexpr Stages stages_of(BlockType type, const Depths& depths, const Four& channels) {
  return {Stage{type, depths[0], 64 * channels[0]}, Stage{type, depths[1], 128 * channels[1]},
          Stage{type, depths[2], 256 * channels[2]}, Stage{type, depths[3], 512 * channels[3]}};
}

constexpr Depths repvgg_a{2, 4, 14, 1}, repvgg_b{4, 6, 16, 1};

constexpr Spec repvgg(const Depths& depths, const Four& widths, int64_t groups = 1) {
  return {.stages = stages_of(BlockType::rep_vgg, depths, widths), .stem = Stem::rep_vgg, .rep_groups = groups};
}

constexpr Spec mobileone(const Four& widths) {
  return {.stages = stages_of(BlockType::mobile_one, {2, 8, 10, 1}, widths), .stem = Stem::mobile_one};
}

// A ResNet of bottlenecks, its stem tiered.
constexpr Spec resnet(const Depths& depths, const Four& channels, int64_t group_size = 0) {
  return {.stages = {Stage{bottleneck, depths[0], channels[0], 1, group_size, 0.25},
                     Stage{bottleneck, depths[1], channels[1], 2, group_size, 0.25},
                     Stage{bottleneck, depths[2], channels[2], 2, group_size, 0.25},
                     Stage{bottleneck, depths[3], channels[3], 2, group_size, 0.25}},
          .stem = Stem::tiered,
          .activation = Activation::silu};
}

constexpr Four wide{256, 512, 1024, 2048}, narrow{256, 512, 1536, 1536};
constexpr Spec resnext26ts = resnet({2, 2, 2, 2}, wide, 32).with(&Spec::stem_pool, Pool::max3),
               resnet32ts = resnet({2, 3, 3, 2}, narrow), resnet33ts = resnet32ts.with(&Spec::num_features, 1280);

constexpr Spec regnetz(const Depths& depths, const Four& channels, int64_t group_size, double ratio,
                       int64_t first_stride, int64_t num_features) {
  return {.stages = {Stage{bottleneck, depths[0], channels[0], first_stride, group_size, ratio},
                     Stage{bottleneck, depths[1], channels[1], 2, group_size, ratio},
                     Stage{bottleneck, depths[2], channels[2], 2, group_size, ratio},
                     Stage{bottleneck, depths[3], channels[3], 2, group_size, ratio}},
          .stem = first_stride > 1 ? Stem::plain : Stem::tiered,
          .stem_channels = first_stride > 1 ? 32 : 64,
          .num_features = num_features,
          .activation = Activation::silu,
          .shortcut = Shortcut::none,
          .gate = Gate::se,
          .se_ratio = 0.25,
          .bottle_in = true,
          .linear_out = true};
}

constexpr Spec regnetz_b16 = regnetz({2, 6, 12, 2}, {48, 96, 192, 288}, 16, 3, 2, 1536),
               regnetz_c16 = regnetz({2, 6, 12, 2}, {48, 96, 192, 288}, 16, 4, 2, 1536),
               regnetz_d8 = regnetz({3, 6, 12, 3}, {64, 128, 256, 384}, 8, 4, 1, 1792);

// CLIP's: `size` is the side of its feature maps, for attention pooling; else it has a classifier.
constexpr Spec clip(const Depths& depths, double width, int64_t size = 0) {
  Spec spec = resnet(depths, wide)
                  .with(&Spec::stem, Stem::clip)
                  .with(&Spec::stem_pool, Pool::avg2)
                  .with(&Spec::activation, Activation::relu)
                  .with(&Spec::shortcut, Shortcut::avg)
                  .with(&Spec::anti_alias, true)
                  .with(&Spec::width, width);
  return size > 0 ? spec.with(&Spec::head, Head::attention).with(&Spec::feature_size, size) : spec;
}

constexpr Stages quad_stages(const Stage& first) {
  return {first, Stage{bottleneck, 4, 512, 2, 32, 0.25}, Stage{bottleneck, 6, 1536, 2, 32, 0.25},
          Stage{bottleneck, 4, 1536, 2, 1, 1}};
}

constexpr Spec quad(const Stage& first, Stem stem) {
  return {.stages = quad_stages(first),
          .stem = stem,
          .stem_channels = 128,
          .num_features = 2048,
          .activation = Activation::silu};
}

struct Variant {
  std::string_view name;
  Spec spec;
};

constexpr Variant variants[] = {
    {"gernet_l",
     gernet({Stage{BlockType::basic, 1, 128}, Stage{BlockType::basic, 2, 192}, Stage{bottleneck, 6, 640, 2, 0, 0.25},
             Stage{bottleneck, 5, 640, 2, 1, 3}, Stage{bottleneck, 4, 640, 1, 1, 3}},
            32, 2560)},
    {"gernet_m",
     gernet({Stage{BlockType::basic, 1, 128}, Stage{BlockType::basic, 2, 192}, Stage{bottleneck, 6, 640, 2, 0, 0.25},
             Stage{bottleneck, 4, 640, 2, 1, 3}, Stage{bottleneck, 1, 640, 1, 1, 3}},
            32, 2560)},
    {"gernet_s",
     gernet({Stage{BlockType::basic, 1, 48}, Stage{BlockType::basic, 3, 48}, Stage{bottleneck, 7, 384, 2, 0, 0.25},
             Stage{bottleneck, 2, 560, 2, 1, 3}, Stage{bottleneck, 1, 256, 1, 1, 3}},
            13, 1920)},
    {"repvgg_a0", repvgg(repvgg_a, {0.75, 0.75, 0.75, 2.5}).with(&Spec::stem_channels, 48)},
    {"repvgg_a1", repvgg(repvgg_a, {1, 1, 1, 2.5})},
    {"repvgg_a2", repvgg(repvgg_a, {1.5, 1.5, 1.5, 2.75})},
    {"repvgg_b0", repvgg(repvgg_b, {1, 1, 1, 2.5})},
    {"repvgg_b1", repvgg(repvgg_b, {2, 2, 2, 4})},
    {"repvgg_b1g4", repvgg(repvgg_b, {2, 2, 2, 4}, 4)},
    {"repvgg_b2", repvgg(repvgg_b, {2.5, 2.5, 2.5, 5})},
    {"repvgg_b2g4", repvgg(repvgg_b, {2.5, 2.5, 2.5, 5}, 4)},
    {"repvgg_b3", repvgg(repvgg_b, {3, 3, 3, 5})},
    {"repvgg_b3g4", repvgg(repvgg_b, {3, 3, 3, 5}, 4)},
    {"repvgg_d2se", repvgg({8, 14, 24, 1}, {2.5, 2.5, 2.5, 5}).with(&Spec::gate, Gate::se).with(&Spec::se_divisor, 1)},
    {"resnet51q", quad({bottleneck, 2, 256, 1, 32, 0.25}, Stem::quad2)},
    {"resnet61q", quad({BlockType::edge, 1, 256, 1}, Stem::quad).with(&Spec::extra_conv, true)},
    {"resnext26ts", resnext26ts},
    {"gcresnext26ts", resnext26ts.with(&Spec::gate, Gate::global_context)},
    {"seresnext26ts", resnext26ts.with(&Spec::gate, Gate::se)},
    {"eca_resnext26ts", resnext26ts.with(&Spec::gate, Gate::eca)},
    {"bat_resnext26ts", resnext26ts.with(&Spec::gate, Gate::bilinear)},
    {"resnet32ts", resnet32ts},
    {"resnet33ts", resnet33ts},
    {"gcresnet33ts", resnet33ts.with(&Spec::gate, Gate::global_context)},
    {"seresnet33ts", resnet33ts.with(&Spec::gate, Gate::se)},
    {"eca_resnet33ts", resnet33ts.with(&Spec::gate, Gate::eca)},
    {"gcresnet50t",
     resnet({3, 4, 6, 3}, wide).with(&Spec::activation, Activation::relu).with(&Spec::gate, Gate::global_context)},
    {"gcresnext50ts",
     resnet({3, 4, 6, 3}, wide, 32).with(&Spec::stem_pool, Pool::max3).with(&Spec::gate, Gate::global_context)},
    {"regnetz_b16", regnetz_b16},
    {"regnetz_c16", regnetz_c16},
    {"regnetz_d32", regnetz({3, 6, 12, 3}, {64, 128, 256, 384}, 32, 4, 1, 1792)},
    {"regnetz_d8", regnetz_d8},
    {"regnetz_e8", regnetz({3, 8, 16, 3}, {96, 192, 384, 512}, 8, 4, 1, 2048)},
    {"regnetz_b16_evos", regnetz_b16.with(&Spec::norm, Norm::evo_s0a)},
    {"regnetz_c16_evos", regnetz_c16.with(&Spec::norm, Norm::evo_s0a)},
    {"regnetz_d8_evos", regnetz_d8.with(&Spec::norm, Norm::evo_s0a).with(&Spec::stem, Stem::deep)},
    {"mobileone_s0", mobileone({0.75, 1, 1, 2}).with(&Spec::stem_channels, 48).with(&Spec::branches, 4)},
    {"mobileone_s1", mobileone({1.5, 1.5, 2, 2.5})},
    {"mobileone_s2", mobileone({1.5, 2, 2.5, 4})},
    {"mobileone_s3", mobileone({2, 2.5, 3, 4})},
    {"mobileone_s4", mobileone({3, 3.5, 3.5, 4}).with(&Spec::gate, Gate::se).with(&Spec::se_blocks, 5)},
    {"resnet50_clip", clip({3, 4, 6, 3}, 1, 7)},
    {"resnet101_clip", clip({3, 4, 23, 3}, 1, 7)},
    {"resnet50x4_clip", clip({4, 6, 10, 6}, 1.25, 9)},
    {"resnet50x16_clip", clip({6, 8, 18, 8}, 1.5, 12)},
    {"resnet50x64_clip", clip({3, 15, 36, 10}, 2, 14)},
    {"resnet50_clip_gap", clip({3, 4, 6, 3}, 1)},
    {"resnet101_clip_gap", clip({3, 4, 23, 3}, 1)},
    {"resnet50x4_clip_gap", clip({4, 6, 10, 6}, 1.25)},
    {"resnet50x16_clip_gap", clip({6, 8, 18, 8}, 1.5)},
    {"resnet50x64_clip_gap", clip({3, 15, 36, 10}, 2)},
    {"resnet50_mlp", clip({3, 4, 6, 3}, 1).with(&Spec::head, Head::mlp).with(&Spec::head_hidden, 1024)},
    {"test_byobnet",
     {.stages = {Stage{BlockType::edge, 1, 32, 2, 0, 0.5}, Stage{BlockType::dark, 1, 64, 2, 0, 0.5},
                 Stage{BlockType::basic, 1, 128, 2, 32, 0.25}, Stage{bottleneck, 1, 256, 2, 64, 0.25}},
      .stem_channels = 24,
      .shortcut = Shortcut::avg,
      .gate = Gate::se,
      .se_ratio = 0.25}},
};

Network build_variant(std::string_view name, const BuildOptions& options) {
  return build(find(variants, name).spec, options);
}

}  // namespace

extern constinit const Family byobnet_family{"byobnet", names_of(variants), build_variant};

}  // namespace wimm
